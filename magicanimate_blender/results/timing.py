"""When which frame shows: image users of textures and compositor nodes."""

import bpy

from .clip import Clip


def play(user: bpy.types.ImageUser | bpy.types.CompositorNodeImage, clip: Clip, scene: bpy.types.Scene) -> None:
    """Make an image user show the clip in its time: from `clip.start`, at its own rate, first and last frame held.

    By itself an image user advances one file per scene frame and asks for a file that is not there before its start;
    a driver on its offset makes up for both. (A simple expression: Blender runs it without permission for scripts.)
    """
    length = clip.length(scene)
    user.frame_start = clip.start
    user.frame_duration = length
    user.use_auto_refresh = True
    user.use_cyclic = False
    user.driver_remove("frame_offset")
    driver = user.driver_add("frame_offset").driver
    driver.type = "SCRIPTED"
    frame = f"min(max(floor((frame-{clip.start})/{clip.step(scene):.9g}+1e-6),0),{clip.count - 1})"
    counted_already = f"min(max(frame-{clip.start - 1},0),{length})"
    driver.expression = f"{frame}+{clip.first_file}-{counted_already}"
