"""An artist's first minutes, by clicks: the demo, cancelled, animated again, a key moved, regenerated in place.

The server runs outside; SERVER_URL and SERVER_TOKEN say where.
"""

import importlib
import json
import os
import time

import bpy
import harness
from mathutils import Quaternion

ADDON = "bl_ext.user_default.magicanimate_blender"


def addon(module: str):
    return importlib.import_module(f"{ADDON}.{module}")


def steps() -> harness.Steps:
    preferences = bpy.context.preferences.addons[ADDON].preferences
    preferences.url, preferences.token = os.environ["SERVER_URL"], os.environ["SERVER_TOKEN"]
    preferences.server = "REMOTE"
    yield from harness.open_sidebar("MagicAnimate")
    yield from harness.widen_sidebar(440)
    yield from connected()
    harness.screenshot("1_welcome")

    yield from harness.click_button("magicanimate.try_demo")
    scene = harness.window().scene
    yield from harness.until(lambda: state(scene) == "RUNNING" and now(scene).step, 300, "the animation to begin")
    look_through_camera()
    yield 1.0
    harness.screenshot("2_progress")

    harness.hover()
    harness.press("Escape")
    yield from harness.until(lambda: state(scene) == "CANCELLED", 60, "the animation to be cancelled")
    yield 0.5
    harness.screenshot("3_cancelled")

    addon("ui.engine_settings").assign(scene, {"steps": 12})
    scene.frame_end = 24
    cancelled = job(scene).id
    measured = Gaps()
    yield from harness.click_button("magicanimate.animate")
    yield from harness.until(lambda: job(scene).id != cancelled, 10, "a new job")
    yield from harness.until(lambda: now(scene).state.ended, 600, "the animation to end")
    measured.end()
    assert state(scene) == "DONE", now(scene).message
    yield from harness.until(lambda: sequences(), 10, "the plane")
    first, shown = job(scene).id, sequences()
    yield from harness.click_button("magicanimate.show_planes")
    scene.frame_set(20)
    yield 30.0  # shaders are compiled, in software
    harness.screenshot("4_done")

    move_a_key(scene)
    harness.scroll_region(60)
    yield 0.8
    harness.screenshot("5_results")
    yield from harness.click_button("magicanimate.regenerate", across=0.25)
    yield from harness.until(lambda: job(scene).id != first, 10, "a new job")
    yield from harness.until(lambda: now(scene).state.ended, 600, "the animation to end")
    assert state(scene) == "DONE", now(scene).message
    record = job(scene).record
    assert 0 < record.computed_frames < record.spec.frames, record.computed_frames
    yield from harness.until(lambda: sequences() != shown, 10, "the plane to be renewed")
    assert len(sequences()) == len(shown), "a second plane appeared"
    yield 5.0
    harness.screenshot("6_regenerated")


def connected() -> harness.Steps:
    runtime = addon("ui.runtime").runtime()
    yield from harness.until(lambda: runtime.watch.status.info is not None, 20, "the server to be seen")


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


def move_a_key(scene: bpy.types.Scene) -> None:
    """Bend the left elbow further around frame 20."""
    armature = next(obj for obj in scene.objects if obj.type == "ARMATURE")
    scene.frame_set(20)
    elbow = armature.pose.bones["left_elbow"]
    elbow.rotation_quaternion = elbow.rotation_quaternion @ Quaternion((1.0, 0.0, 0.0), 0.6)
    elbow.keyframe_insert("rotation_quaternion", frame=20)


class Gaps:
    """How long Blender's event loop stood still, and how long of it in the add-on's own timer, in milliseconds."""

    def __init__(self) -> None:
        self.loop: list[float] = []
        self.last = time.perf_counter()
        self.running = True
        bpy.app.timers.register(self._tick)

    def _tick(self) -> float | None:
        moment = time.perf_counter()
        self.loop.append((moment - self.last) * 1000)
        self.last = moment
        return 0.01 if self.running else None

    def end(self) -> None:
        self.running = False
        ordered = sorted(self.loop)
        figures = {
            "ticks": len(ordered),
            "median": ordered[len(ordered) // 2],
            "p95": ordered[len(ordered) * 95 // 100],
        }
        (harness.OUT / "gaps.json").write_text(json.dumps({**figures, "longest": ordered[-1]}, indent=1))
