"""An artist's first minutes, by clicks: the demo, cancelled, animated again, a key moved, regenerated in place.

The server runs outside; SERVER_URL and SERVER_TOKEN say where.
"""

import artist
import bpy
import harness
from mathutils import Quaternion


def steps() -> harness.Steps:
    yield from artist.open_sidebar()
    yield from artist.connect()
    harness.screenshot("1_welcome")

    yield from harness.click_button("magicanimate.try_demo")
    scene = harness.window().scene
    yield from harness.until(
        lambda: artist.state(scene) == "RUNNING" and artist.now(scene).step, 300, "the animation to begin"
    )
    artist.look_through_camera()
    yield 1.0
    harness.screenshot("2_progress")

    yield from artist.cancel(scene)
    yield 0.5
    harness.screenshot("3_cancelled")

    artist.addon("ui.engine_settings").assign(scene, {"steps": 6})
    scene.frame_end = 24
    yield from artist.start(scene)
    yield from artist.delivered(scene)
    first, shown = artist.job(scene).id, artist.sequences()
    assert shown, "no plane"
    scene.frame_set(20)
    yield from artist.see_the_plane()
    harness.screenshot("4_done")

    move_a_key(scene)
    place = yield from harness.scroll_to_button("magicanimate.regenerate", across=0.25)
    harness.screenshot("5_results")
    harness.click(*place)
    yield from harness.until(lambda: artist.job(scene).id != first, 20, "a new job")
    yield from artist.delivered(scene)
    record = artist.job(scene).record
    assert 0 < record.computed_frames < record.spec.frames, record.computed_frames
    assert artist.sequences() != shown, "the plane was not renewed"
    assert len(artist.sequences()) == len(shown), "a second plane appeared"
    yield 5.0
    harness.screenshot("6_regenerated")


def move_a_key(scene: bpy.types.Scene) -> None:
    """Bend the left elbow further around frame 20."""
    armature = next(obj for obj in scene.objects if obj.type == "ARMATURE")
    scene.frame_set(20)
    elbow = armature.pose.bones["left_elbow"]
    elbow.rotation_quaternion = elbow.rotation_quaternion @ Quaternion((1.0, 0.0, 0.0), 0.6)
    elbow.keyframe_insert("rotation_quaternion", frame=20)
