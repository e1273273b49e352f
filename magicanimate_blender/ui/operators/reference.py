"""Choose the reference picture."""

from __future__ import annotations

from pathlib import Path

import bpy

from ...scene.errors import SceneError
from ..settings import STILL
from .common import tells_errors


class MAGICANIMATE_OT_open_reference(bpy.types.Operator):
    bl_idname = "magicanimate.open_reference"
    bl_label = "Choose a Picture"
    bl_description = "Open the picture of the person to animate: one person, seen whole, on a quiet background"
    bl_options = {"REGISTER", "UNDO"}

    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_image: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        context.scene.magicanimate.reference = load_picture(Path(self.filepath))
        return {"FINISHED"}


class MAGICANIMATE_OT_give_consent(bpy.types.Operator):
    bl_idname = "magicanimate.give_consent"
    bl_label = "I May Use This Picture"
    bl_description = "Confirm that you have the right to use the picture of this person for an animation"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.scene.magicanimate.consent = True
        return {"FINISHED"}


def load_picture(path: Path) -> bpy.types.Image:
    """Raises SceneError if Blender can't read it as a still picture."""
    try:
        image = bpy.data.images.load(str(path), check_existing=True)
    except RuntimeError:
        raise SceneError(f"{path.name} can't be read as a picture.", "Choose a PNG or JPEG file.") from None
    if image.source not in STILL:
        if not image.users:  # nobody had it before
            bpy.data.images.remove(image)
        raise SceneError(f"{path.name} is no still picture.", "Choose a PNG or JPEG file of the person.")
    return image


CLASSES = (MAGICANIMATE_OT_open_reference, MAGICANIMATE_OT_give_consent)
