"""The reference picture in the camera's view, as one of Blender's own camera background images."""

from __future__ import annotations

import bpy

TAG = "magicanimate_reference"
"""On the camera data: name of the image that we put there, so that the user's own background images are left alone."""
FRAME_METHOD = {"CROP": "CROP", "PAD": "FIT", "STRETCH": "STRETCH"}
OPACITY = 0.5


def update(scene: bpy.types.Scene) -> None:
    """Show, change or take away the picture, as the scene's settings say."""
    chosen = scene.magicanimate
    for camera in bpy.data.cameras:
        _take_away(camera)
    if not (chosen.show_reference and chosen.reference and scene.camera and scene.camera.type == "CAMERA"):
        return
    camera = scene.camera.data
    shown = camera.background_images.new()
    shown.image = chosen.reference
    shown.alpha = OPACITY
    shown.display_depth = "FRONT"
    shown.frame_method = FRAME_METHOD[chosen.fit]
    camera.show_background_images = True
    camera[TAG] = chosen.reference.name


def _take_away(camera: bpy.types.Camera) -> None:
    name = camera.get(TAG)
    if name is None:
        return
    for shown in list(camera.background_images):
        if shown.image is None or shown.image.name == name:
            camera.background_images.remove(shown)
    del camera[TAG]
