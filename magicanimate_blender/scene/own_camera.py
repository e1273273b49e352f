"""A camera of our own to frame the character with, so that nobody's camera is moved and no render changes its size."""

from __future__ import annotations

import bpy

from .errors import SceneError

MARK = "magicanimate_camera"
"""On camera objects that we made."""
NAME = "MagicAnimate Camera"


def own_camera(scene: bpy.types.Scene, size: tuple[int, int]) -> bpy.types.Object:
    """Our camera of the scene, now the active one; made like the active one if there is none.

    size: the video's pixels. The camera's sensor covers the side that lets a render of any proportions show all of the
    video's picture. Raises SceneError where markers choose the scene's camera.
    """
    if any(marker.camera for marker in scene.timeline_markers):
        raise SceneError(
            f"Markers of “{scene.name}” choose its camera, and would do so instead of a new one.",
            "Choose Camera: Active Camera in the options of Frame Character, or clear the markers' cameras.",
        )
    camera = next((obj for obj in _candidates(scene) if is_own(obj)), None) or _make(scene)
    _fit_sensor(scene, camera.data, size)
    scene.camera = camera
    return camera


def is_own(camera: bpy.types.Object | None) -> bool:
    """Whether we made this camera and nobody has animated it since."""
    return camera is not None and camera.type == "CAMERA" and MARK in camera and not is_moved(camera)


def is_moved(camera: bpy.types.Object) -> bool:
    """Whether keys, drivers or constraints move it."""
    animation = camera.animation_data
    animated = animation is not None and (animation.action or animation.drivers or animation.nla_tracks)
    return bool(animated) or any(not constraint.mute for constraint in camera.constraints)


def _candidates(scene: bpy.types.Scene) -> list[bpy.types.Object | None]:
    return [scene.camera, *scene.objects]


def _make(scene: bpy.types.Scene) -> bpy.types.Object:
    data = bpy.data.cameras.new(NAME)
    camera = bpy.data.objects.new(NAME, data)
    camera[MARK] = True
    active = scene.camera
    if active is not None and active.type == "CAMERA":
        camera.matrix_world = active.matrix_world.normalized()
        if active.data.type != "PANO":
            for name in ("type", "lens", "sensor_width", "clip_start", "clip_end"):
                setattr(data, name, getattr(active.data, name))
    scene.collection.objects.link(camera)
    return camera


def _fit_sensor(scene: bpy.types.Scene, data: bpy.types.Camera, size: tuple[int, int]) -> None:
    """The side of which the render has less, so that it shows more than the video on the other one, not less."""
    render, video = scene.render.resolution_x * size[1], scene.render.resolution_y * size[0]
    data.sensor_fit = "AUTO" if render == video else "VERTICAL" if render > video else "HORIZONTAL"
    data.sensor_height = data.sensor_width  # as Auto has it
