"""The reference picture in the camera's view, as one of Blender's own camera background images."""

from __future__ import annotations

import bpy

from . import messages
from .messages import Message

MARK = 19777
"""Our entries carry it as the frame of their movie clip user, which Blender uses for movie clips only. An entry has no
custom properties, and its place in the list and its picture may change."""
TAG = "magicanimate_reference"
"""On the camera data: the picture that we put there."""
WAS_OFF = "magicanimate_backgrounds_off"
"""On the camera data, if Background Images was off: how many entries of the user's it hid."""
FRAME_METHOD = {"CROP": "CROP", "PAD": "FIT", "STRETCH": "STRETCH"}
OPACITY = 0.5


def update(scene: bpy.types.Scene) -> None:
    """Show, change or take away the pictures, as the scenes' settings say; of scenes with one camera, `scene`'s."""
    wanted = {}
    for each in (*(other for other in bpy.data.scenes if other != scene), scene):
        chosen = each.magicanimate
        if chosen.show_reference and chosen.reference and each.camera and each.camera.type == "CAMERA":
            wanted[each.camera.data] = chosen
    for camera in bpy.data.cameras:
        if camera in wanted:
            _show(camera, wanted[camera].reference, FRAME_METHOD[wanted[camera].fit])
        else:
            _take_away(camera)


def entry_of(camera: bpy.types.Camera) -> bpy.types.CameraBackgroundImage | None:
    """The entry that we made; not ours any more is one that the user gave another picture or a movie clip."""
    for entry in camera.background_images:
        marked = entry.source == "IMAGE" and entry.clip_user.frame_current == MARK
        if marked and entry.image in (None, camera.get(TAG)):
            return entry
    return None


def _show(camera: bpy.types.Camera, picture: bpy.types.Image, frame_method: str) -> None:
    if not camera.is_editable:
        messages.tell(
            Message(
                f"The camera “{camera.name}” is linked from another file: the reference can't be shown in its view.",
                "Make a library override of the camera, or make another camera active.",
            )
        )
        return
    entry = entry_of(camera)
    if entry is None:
        if not camera.show_background_images:
            camera[WAS_OFF] = len(camera.background_images)
            camera.show_background_images = True
        entry = camera.background_images.new()
        entry.clip_user.frame_current = MARK
        entry.alpha = OPACITY
        entry.display_depth = "FRONT"
    entry.image = picture
    entry.frame_method = frame_method
    camera[TAG] = picture
    camera.update_tag()


def _take_away(camera: bpy.types.Camera) -> None:
    if TAG not in camera or not camera.is_editable:
        return
    entry = entry_of(camera)
    if entry is not None:
        camera.background_images.remove(entry)
    if camera.get(WAS_OFF) == len(camera.background_images):  # else the user added some since, to be seen
        camera.show_background_images = False
    for name in (TAG, WAS_OFF):
        if name in camera:
            del camera[name]
    camera.update_tag()
