"""The weights: choose, download, delete."""

from __future__ import annotations

import bpy

from ...client import Client, Weights
from ...scene.errors import SceneError
from ..flow import choose_weights
from ..runtime import runtime
from .common import tells_errors


class OfWeights:
    weights: bpy.props.StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        running = runtime().watch.status.info is not None
        if not running:
            cls.poll_message_set("Start the server first")  # type: ignore[attr-defined]  # an Operator's, once mixed in
        return running

    def known(self) -> Weights:
        """Raises SceneError if the server has no such weights."""
        found = next((w for w in runtime().watch.status.weights if w.id == self.weights), None)
        if found is None:
            raise SceneError(f"The server knows no weights “{self.weights}”.", "Choose others.")
        return found


class MAGICANIMATE_OT_use_weights(bpy.types.Operator):
    bl_idname = "magicanimate.use_weights"
    bl_label = "Use Weights"
    bl_description = "Animate with these weights"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    weights: bpy.props.StringProperty(options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        choose_weights(context.scene, self.weights)
        return {"FINISHED"}


class MAGICANIMATE_OT_download_weights(OfWeights, bpy.types.Operator):
    bl_idname = "magicanimate.download_weights"
    bl_label = "Download Weights"
    bl_description = "Let the server download these weights; an interrupted download goes on where it was"
    bl_options = {"REGISTER"}

    accept: bpy.props.BoolProperty(name="I Accept the Licence", options={"SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_props_dialog(self, width=420)

    def draw(self, context: bpy.types.Context) -> None:
        found = self.known()
        column = self.layout.column()
        size = f", {found.size_bytes / 1e9:.1f} GB" if found.size_bytes else ""
        column.label(text=f"{found.title}{size}")
        if found.licence:
            row = column.row()
            row.label(text=f"Licence: {found.licence}")
            if found.licence_url:
                row.operator("wm.url_open", text="Read It", icon="URL").url = found.licence_url
        column.prop(self, "accept")

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        found = self.known()
        if not (self.accept or found.accepted or not found.licence):
            raise SceneError("The licence of these weights has not been accepted.", "Tick “I Accept the Licence”.")

        def download(client: Client) -> None:
            client.download_weights(found.id, accept_licence=True)

        runtime().watch.do(download, f"Downloading {found.title}")
        return {"FINISHED"}


class MAGICANIMATE_OT_stop_download(OfWeights, bpy.types.Operator):
    bl_idname = "magicanimate.stop_download"
    bl_label = "Stop the Download"
    bl_description = "What is there already is kept for later"
    bl_options = {"REGISTER"}

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        found = self.known()
        runtime().watch.do(lambda client: client.stop_download(found.id), "Stopping the download")
        return {"FINISHED"}


class MAGICANIMATE_OT_verify_weights(OfWeights, bpy.types.Operator):
    bl_idname = "magicanimate.verify_weights"
    bl_label = "Check Weights"
    bl_description = "Compare the files of these weights with their published hashes"
    bl_options = {"REGISTER"}

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        found = self.known()
        runtime().watch.do(lambda client: client.verify_weights(found.id), f"Checking {found.title}")
        return {"FINISHED"}


class MAGICANIMATE_OT_delete_weights(OfWeights, bpy.types.Operator):
    bl_idname = "magicanimate.delete_weights"
    bl_label = "Delete Weights"
    bl_description = "Delete the files of these weights"
    bl_options = {"REGISTER"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event)

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        found = self.known()
        runtime().watch.do(lambda client: client.delete_weights(found.id), f"Deleting {found.title}")
        return {"FINISHED"}


CLASSES = (
    MAGICANIMATE_OT_use_weights,
    MAGICANIMATE_OT_download_weights,
    MAGICANIMATE_OT_stop_download,
    MAGICANIMATE_OT_verify_weights,
    MAGICANIMATE_OT_delete_weights,
)
