"""The add-on's preferences."""

from __future__ import annotations

import bpy

from ...client import Weights
from ...server_manager import InstallKind
from ..messages import Message
from ..package import PACKAGE
from ..preferences import Preferences
from ..runtime import runtime
from .animate import draw_install
from .common import message_box, size_text, wrapped
from .server import draw_state


class MAGICANIMATE_preferences(Preferences, bpy.types.AddonPreferences):
    bl_idname = PACKAGE

    def draw(self, context: bpy.types.Context) -> None:
        draw(self.layout, self)


def draw(layout: bpy.types.UILayout, chosen: Preferences) -> None:
    current = runtime()
    layout.use_property_split, layout.use_property_decorate = True, False
    layout.prop(chosen, "server", expand=True)
    if chosen.server == "REMOTE":
        layout.prop(chosen, "url")
        layout.prop(chosen, "token")
    else:
        layout.prop(chosen, "python")
        layout.prop(chosen, "stop_server")
    box = layout.box().column()
    task = current.installation.task
    draw_state(box, current, going_on=task is not None and bool(task.poll().code))
    draw_install(box, current)
    if chosen.server == "LOCAL" and not chosen.python:
        row = box.row()
        row.operator("magicanimate.show_log", text="Server Log", icon="TEXT")
        row.operator("magicanimate.show_log", text="Installation Log", icon="TEXT").installing = True
        if current.installed().kind not in (InstallKind.NOT_INSTALLED, InstallKind.INSTALLING):
            row.operator("magicanimate.remove_server", icon="TRASH")
    draw_weights(layout, current.watch.status.weights)
    layout.prop(chosen, "results")
    layout.prop(chosen, "beside_file")


def draw_weights(layout: bpy.types.UILayout, weights: tuple[Weights, ...]) -> None:
    layout.label(text="Weights")
    box = layout.box().column()
    if not weights:
        box.label(text="Start the server to see its weights", icon="INFO")
    for each in weights:
        row = box.row()
        size = f" ({size_text(each.size_bytes)})" if each.size_bytes else ""
        icon = {"ready": "CHECKMARK", "missing": "IMPORT"}.get(each.state, "ERROR")
        row.label(text=f"{each.title}{size}", icon=icon, translate=False)
        download = each.download
        if download is not None and download.running:
            share = download.done_bytes / download.total_bytes if download.total_bytes else 0.0
            row.progress(factor=share, text=size_text(download.done_bytes))
            row.operator("magicanimate.stop_download", text="", icon="X").weights = each.id
        elif each.state == "ready":
            row.operator("magicanimate.verify_weights", text="Check").weights = each.id
            if not each.demo:  # those came with the server
                row.operator("magicanimate.delete_weights", text="", icon="TRASH").weights = each.id
        else:
            row.operator("magicanimate.download_weights", text="Download…").weights = each.id
        if each.licence:
            wrapped(box, each.licence, "BLANK1")
        if download is not None and download.problem is not None:
            message_box(box, Message(download.problem.detail, download.problem.fix, download.problem.code))


CLASSES = (MAGICANIMATE_preferences,)
