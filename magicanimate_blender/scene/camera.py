"""The scene's camera as the rasteriser's."""

from __future__ import annotations

import bpy

from ..raster.camera import Camera
from .context import depsgraph_of
from .errors import SceneError


def read_camera(
    scene: bpy.types.Scene, width: int, height: int, depsgraph: bpy.types.Depsgraph | None = None
) -> Camera:
    """The active camera at the current frame, for a picture of width x height pixels with the scene's pixel aspect.

    depsgraph: the scene's own, by default. Raises SceneError without a camera, DensePoseError for a panoramic one or a
    frame without area.
    """
    if scene.camera is None or scene.camera.type != "CAMERA":
        raise SceneError(
            "The scene has no camera.", "Add one and click Frame Character, or make one active with Ctrl Numpad 0."
        )
    camera = scene.camera.evaluated_get(depsgraph_of(scene) if depsgraph is None else depsgraph)
    data = camera.data
    return Camera.from_blender(
        camera.matrix_world,
        width=width,
        height=height,
        type=data.type,
        lens=data.lens,
        sensor_width=data.sensor_width,
        sensor_height=data.sensor_height,
        sensor_fit=data.sensor_fit,
        shift_x=data.shift_x,
        shift_y=data.shift_y,
        ortho_scale=data.ortho_scale,
        clip_start=data.clip_start,
        clip_end=data.clip_end,
        pixel_aspect_x=scene.render.pixel_aspect_x,
        pixel_aspect_y=scene.render.pixel_aspect_y,
    )


def render_size(scene: bpy.types.Scene) -> tuple[int, int]:
    """Width and height in pixels of the scene's renders, with the resolution percentage."""
    render = scene.render
    share = render.resolution_percentage / 100
    return max(1, int(render.resolution_x * share)), max(1, int(render.resolution_y * share))
