"""Blender is killed in mid-job and started again with the same file: with some part maps drawn, then with all sent."""

from pathlib import Path

import artist
import bpy
import harness

FILE = Path.cwd() / "shot.blend"


def steps() -> harness.Steps:
    yield from {1: half_drawn, 2: told, 3: found_again}[harness.TURN]()


def half_drawn() -> harness.Steps:
    yield from artist.open_sidebar()
    yield from artist.connect()
    bpy.ops.wm.save_userpref()
    scene = yield from artist.set_up_demo()
    artist.look_through_camera()
    scene.frame_end = 250
    yield from artist.start(scene)
    yield from harness.until(lambda: 10 < artist.now(scene).step < 200, 60, "some part maps")
    bpy.ops.wm.save_as_mainfile(filepath=str(FILE))
    assert artist.job(scene).missing_maps()
    harness.kill_blender(FILE)


def told() -> harness.Steps:
    scene = harness.window().scene
    yield from artist.open_sidebar()
    messages = artist.addon("ui.messages")
    yield from harness.until(messages.current, 20, "the sentence")
    assert messages.current().code == "half-drawn"
    yield from harness.until(lambda: artist.state(scene) == "CANCELLED", 20, "the half-drawn job to end")
    harness.hover()
    yield 4.0
    harness.screenshot("1_told")

    artist.addon("ui.engine_settings").assign(scene, {"steps": 8})
    scene.frame_end = 24
    yield from artist.start(scene)
    assert messages.current() is None
    yield from harness.until(lambda: artist.state(scene) == "RUNNING" and artist.now(scene).step, 300, "progress")
    bpy.ops.wm.save_mainfile()
    harness.screenshot("2_running")
    harness.log(artist.job(scene).id, artist.now(scene))
    harness.kill_blender(FILE)


def found_again() -> harness.Steps:
    scene = harness.window().scene
    job = scene.magicanimate.jobs[-1].name
    yield from artist.open_sidebar()
    yield from harness.until(lambda: artist.job(scene), 20, "the job to be found")
    assert artist.job(scene).id == job
    yield from harness.until(lambda: artist.state(scene) == "RUNNING" and artist.now(scene).step, 60, "its progress")
    harness.hover()
    yield 8.0  # a panel opens slowly when there is more in it
    harness.screenshot("3_found_again")
    yield from artist.delivered(scene)
    assert len(artist.sequences()) == 1
    yield 2.0
    harness.screenshot("4_arrived")
