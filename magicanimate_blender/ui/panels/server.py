"""Where it is computed."""

from __future__ import annotations

import bpy

from ...client import ServerInfo
from ...server_manager import InstallKind
from ..messages import Message, message_of
from ..preferences import preferences
from ..runtime import Runtime, runtime
from .common import InSidebar, draw_mendable, message_box, size_text, wrapped

WORKER = {"stopped": "ready", "starting": "starting", "idle": "ready, weights loaded", "busy": "computing"}


class MAGICANIMATE_PT_server(InSidebar, bpy.types.Panel):
    bl_label = "Server"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        column, current = self.layout.column(), runtime()
        draw_state(column, current)
        row = column.row(align=True)
        if preferences().server == "LOCAL":
            row.operator("magicanimate.show_log")
        row.operator("magicanimate.open_preferences", text="Preferences")


def draw_state(column: bpy.types.UILayout, current: Runtime, *, going_on: bool = False) -> None:
    """going_on: whether a button to go on with an installation is drawn elsewhere."""
    status = current.watch.status
    if current.task is not None:
        column.label(text=f"{current.task.title}…", icon="TIME", translate=False)
    elif status.info is not None:
        draw_info(column, status.info)
        row = column.row(align=True)
        row.operator("magicanimate.free_memory")
        row.operator("magicanimate.stop_server")
    else:
        draw_stopped(column, current, going_on=going_on)
    for error in (status.problem, status.failed):
        if error is not None:
            message_box(column, message_of(error))
    if status.doing:
        column.label(text=f"{status.doing}…", icon="TIME", translate=False)


def draw_info(column: bpy.types.UILayout, info: ServerInfo) -> None:
    wrapped(column, f"Running: version {info.version}, {WORKER.get(info.worker.state, info.worker.state)}", "CHECKMARK")
    device = info.device
    if device is not None:
        memory = ""
        if device.memory_free is not None and device.memory_total is not None:
            memory = f", {size_text(device.memory_free)} of {size_text(device.memory_total)} free"
        wrapped(column, f"{device.name}{memory}", "MEMORY")
    if info.queue.queued or info.queue.running:
        paused = ", paused" if info.queue.paused else ""
        wrapped(column, f"{info.queue.running} running, {info.queue.queued} waiting{paused}", "SORTTIME")
    for notice in info.notices:
        message_box(column, Message(notice.detail, notice.fix, notice.code))


def draw_stopped(column: bpy.types.UILayout, current: Runtime, *, going_on: bool = False) -> None:
    if preferences().server == "REMOTE":
        wrapped(column, f"Not connected to {preferences().url or 'a server'}", "UNLINKED")
        return
    state = current.installed()
    wrapped(column, state.sentence, "INFO")
    if state.usable:
        column.operator("magicanimate.start_server", icon="PLAY")
        if state.kind is InstallKind.OUTDATED:
            column.operator("magicanimate.install_server", text="Upgrade the Server", icon="IMPORT")
    elif state.kind is not InstallKind.INSTALLING and not preferences().python:
        if not going_on:
            label = "Go On Installing the Server" if state.kind is InstallKind.INCOMPLETE else "Install the Server"
            column.operator("magicanimate.install_server", text=label, icon="IMPORT")
        if not bpy.app.online_access:
            message = Message(
                "Blender is not allowed to go online", "Allow it in Preferences > System > Network.", "offline"
            )
            draw_mendable(column, message)


CLASSES = (MAGICANIMATE_PT_server,)
