"""The server: install, start, stop, look at its log."""

from __future__ import annotations

import sys
from pathlib import Path

import bpy

from ...client import Pins, server_name
from ...server_manager import LocalServer
from ...server_manager.local import tail
from ..package import certificates
from ..preferences import preferences
from ..runtime import runtime
from .common import tells_errors

LOG_NAME = "MagicAnimate Server Log"
LOG_LINES = 400


class MAGICANIMATE_OT_install_server(bpy.types.Operator):
    bl_idname = "magicanimate.install_server"
    bl_label = "Install the Server"
    bl_description = (
        "Make an environment of its own for the server, and install PyTorch and the server there: a download of "
        "some GB. Nothing is installed into Blender's Python"
    )
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not bpy.app.online_access:
            cls.poll_message_set("Allow online access in Preferences > System first")
        return bpy.app.online_access and not runtime().installing()

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        runtime().installation.install([sys.executable])
        return {"FINISHED"}


class MAGICANIMATE_OT_cancel_install(bpy.types.Operator):
    bl_idname = "magicanimate.cancel_install"
    bl_label = "Cancel"
    bl_description = "Stop installing; what is there already is used when you go on"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        task = runtime().installation.task
        if task is not None:
            task.cancel()
        return {"FINISHED"}


class MAGICANIMATE_OT_remove_server(bpy.types.Operator):
    bl_idname = "magicanimate.remove_server"
    bl_label = "Remove the Server"
    bl_description = "Delete the server's environment; results in Blender stay"
    bl_options = {"REGISTER"}

    data: bpy.props.BoolProperty(
        name="Weights and Jobs, Too", description="Also delete downloaded weights and the server's own results"
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_props_dialog(self)

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        current, data = runtime(), self.data

        def remove() -> None:
            if isinstance(current.server, LocalServer):
                current.server.stop_any()
            current.installation.remove(data=data)

        current.run("Removing the server", remove)
        return {"FINISHED"}


class MAGICANIMATE_OT_start_server(bpy.types.Operator):
    bl_idname = "magicanimate.start_server"
    bl_label = "Start"
    bl_description = "Start the server now; Animate also does it"
    bl_options = {"REGISTER"}

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        runtime().start_server()
        return {"FINISHED"}


class MAGICANIMATE_OT_stop_server(bpy.types.Operator):
    bl_idname = "magicanimate.stop_server"
    bl_label = "Stop"
    bl_description = "Stop the server; animations that it computes go on when it is started again"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return preferences().server == "LOCAL"

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        runtime().stop_server()
        return {"FINISHED"}


class MAGICANIMATE_OT_free_memory(bpy.types.Operator):
    bl_idname = "magicanimate.free_memory"
    bl_label = "Free Memory"
    bl_description = "Let the server give back the memory that the weights take; the next animation loads them again"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return runtime().watch.status.info is not None

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        runtime().watch.do(lambda client: client.unload(), "Freeing memory")
        return {"FINISHED"}


class MAGICANIMATE_OT_trust_certificate(bpy.types.Operator):
    bl_idname = "magicanimate.trust_certificate"
    bl_label = "Trust the New Certificate"
    bl_description = (
        "Trust the certificate that the server shows now. Only if whoever runs the server says that it was replaced"
    )
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return preferences().server == "REMOTE"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event)

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        Pins(certificates()).forget(server_name(preferences().url))
        return {"FINISHED"}


class MAGICANIMATE_OT_show_log(bpy.types.Operator):
    bl_idname = "magicanimate.show_log"
    bl_label = "Log"
    bl_description = "Open the last lines of the logs of the server and of its worker as a text"
    bl_options = {"REGISTER"}

    installing: bpy.props.BoolProperty(options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return preferences().server == "LOCAL"

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        folder = runtime().installation.folder
        paths = [folder.install_log] if self.installing else [folder.log, folder.worker_log]
        text = bpy.data.texts.get(LOG_NAME) or bpy.data.texts.new(LOG_NAME)
        text.from_string("\n\n".join(map(log_text, paths)))
        if not bpy.app.background:
            _open_text(context, text)
        return {"FINISHED"}


def log_text(path: Path) -> str:
    """The log's path and its last lines."""
    if not path.is_file():
        return f"There is no log yet at {path}."
    return "\n".join([f"{path}:", *tail(path, LOG_LINES)])


def _open_text(context: bpy.types.Context, text: bpy.types.Text) -> None:
    bpy.ops.wm.window_new()
    area = context.window_manager.windows[-1].screen.areas[0]
    area.type = "TEXT_EDITOR"
    area.spaces.active.text = text


CLASSES = (
    MAGICANIMATE_OT_install_server,
    MAGICANIMATE_OT_cancel_install,
    MAGICANIMATE_OT_remove_server,
    MAGICANIMATE_OT_start_server,
    MAGICANIMATE_OT_stop_server,
    MAGICANIMATE_OT_free_memory,
    MAGICANIMATE_OT_trust_certificate,
    MAGICANIMATE_OT_show_log,
)
