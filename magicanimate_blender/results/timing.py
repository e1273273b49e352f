"""When which frame shows: image users of textures and compositor nodes."""

import bpy

from .clip import Clip


def play(user: bpy.types.ImageUser | bpy.types.CompositorNodeImage, clip: Clip, scene: bpy.types.Scene) -> None:
    """Make an image user show the clip in its time: from `clip.start`, at its own rate, first and last frame held.

    An image user advances one file per scene frame; where the rates differ, a driver on its offset makes up for it.
    (It is a simple expression, which Blender runs without permission for scripts.)
    """
    user.frame_start = clip.start
    user.frame_duration = clip.length(scene)
    user.use_auto_refresh = True
    user.use_cyclic = False
    user.driver_remove("frame_offset")
    user.frame_offset = -1  # files are numbered from 0, image users count from 1
    step = clip.step(scene)
    if abs(step - 1.0) < 1e-6:
        return
    driver = user.driver_add("frame_offset").driver
    driver.type = "SCRIPTED"
    file = f"min(max(floor((frame-{clip.start})/{step:.9g}+1e-6),0),{clip.count - 1})"
    counted = f"min(max(frame-{clip.start - 1},0),{clip.length(scene)})"
    driver.expression = f"{file}-{counted}"
