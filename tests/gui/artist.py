"""Runs inside Blender's window: what drivers ask the installed add-on, and what they do as an artist would."""

import importlib
import os
from collections.abc import Generator
from types import ModuleType

import bpy
import harness

WIDTH = 440
"""Of the sidebar, in pixels."""
ADDON = "bl_ext.user_default.magicanimate_blender"


def addon(module: str) -> ModuleType:
    return importlib.import_module(f"{ADDON}.{module}")


def preferences() -> bpy.types.AddonPreferences:
    return bpy.context.preferences.addons[ADDON].preferences


def connect() -> harness.Steps:
    """To the server that SERVER_URL and SERVER_TOKEN name."""
    chosen = preferences()
    chosen.url, chosen.token = os.environ["SERVER_URL"], os.environ["SERVER_TOKEN"]
    chosen.server = "REMOTE"
    status = addon("ui.runtime").runtime().watch
    yield from harness.until(lambda: status.status.info is not None, 40, "the server to be seen")


def open_sidebar() -> harness.Steps:
    yield from harness.open_sidebar("MagicAnimate")
    if harness.region().width < WIDTH - 40:  # a saved file remembers it
        yield from harness.widen_sidebar(WIDTH)


def job(scene: bpy.types.Scene):
    return addon("ui.runtime").runtime().current(scene)


def now(scene: bpy.types.Scene):
    return job(scene).poll()


def state(scene: bpy.types.Scene) -> str:
    return now(scene).state.name if job(scene) else ""


def sequences() -> list[str]:
    """Where the pictures lie that planes show."""
    return sorted(image.filepath for image in bpy.data.images if image.source == "SEQUENCE" and image.users)


def look_through_camera() -> None:
    space = harness.area().spaces.active
    space.region_3d.view_perspective = "CAMERA"
    space.overlay.show_bones = space.overlay.show_floor = space.overlay.show_axis_x = space.overlay.show_axis_y = False


def see_the_plane() -> harness.Steps:
    """Click Show in This View, and wait for shaders to be compiled, which in software takes its time."""
    yield from harness.click_button("magicanimate.show_planes")
    harness.hover()
    yield from harness.until(lambda: harness.colourfulness() > 0.02, 400, "the picture on the plane")
    yield 2.0


def start(scene: bpy.types.Scene) -> harness.Steps:
    """Click Animate, and see that there is another job."""
    before = job(scene).id if job(scene) else ""
    yield from harness.click_button("magicanimate.animate")
    yield from harness.until(lambda: job(scene) and job(scene).id != before, 20, "a new job")


def set_up_demo() -> Generator[float, None, bpy.types.Scene]:
    """Sample character, picture and weights by one click; the animation that it begins is cancelled at once."""
    yield from harness.click_button("magicanimate.try_demo")
    scene = harness.window().scene
    yield from harness.until(lambda: job(scene), 20, "the animation to begin")
    yield from cancel(scene)
    return scene


def add_demo() -> Generator[float, None, bpy.types.Scene]:
    """As set_up_demo, without a click: for drivers that are about something else."""
    with harness.override():
        bpy.ops.magicanimate.try_demo()
    scene = harness.window().scene
    job(scene).cancel()
    yield from harness.until(lambda: state(scene) == "CANCELLED", 60, "the animation to be cancelled")
    return scene


def draw(scene: bpy.types.Scene, frames: int) -> harness.Steps:
    """Animate that many frames, and wait until some part maps are drawn."""
    scene.frame_end = scene.frame_start + frames - 1
    with harness.override():
        bpy.ops.magicanimate.animate("EXEC_DEFAULT", True)  # with an undo step, as a click makes one
    yield from harness.until(lambda: now(scene).step > 5, 60, "some part maps")
    assert state(scene) == "DRAWING", state(scene)


def cancel(scene: bpy.types.Scene) -> harness.Steps:
    """By the button in the sidebar."""
    place = yield from harness.scroll_to_button("magicanimate.cancel", across=0.8)
    harness.click(*place)
    yield from harness.until(lambda: state(scene) == "CANCELLED", 60, "the animation to be cancelled")


def delivered(scene: bpy.types.Scene, seconds: float = 600) -> harness.Steps:
    """Wait for the job's end and for its result in the scene."""
    yield from harness.until(lambda: now(scene).state.ended, seconds, "the animation to end")
    assert state(scene) == "DONE", now(scene).message
    runtime = addon("ui.runtime").runtime()
    yield from harness.until(lambda: job(scene).id in runtime.noticed and not runtime.deliveries, 60, "the delivery")
