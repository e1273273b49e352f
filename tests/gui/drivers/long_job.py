"""How long the window stands still because of us, while 250 frames are prepared and run, and while results arrive."""

import json
import os

import artist
import bpy
import harness
from turns import Turns

FRAMES = 250
RUNNING_S = 20.0
"""How long the long job is watched once it computes."""
BOUND_MS = 150.0


def steps() -> harness.Steps:
    yield from artist.open_sidebar()
    yield from artist.connect()
    scene = yield from artist.set_up_demo()
    bpy.ops.wm.save_as_mainfile(filepath=os.path.abspath("shot.blend"))

    artist.addon("ui.engine_settings").assign(scene, {"steps": 2})
    scene.frame_end = scene.frame_start + FRAMES - 1
    scene.magicanimate.cut_out = True
    x, y = yield from harness.find_button("magicanimate.animate")
    turns = Turns(artist.ADDON)
    try:
        yield from measured(turns, scene, (x, y))
    finally:
        turns.end()
        turns.save(harness.OUT / "turns.json")
    harness.log(json.dumps({measure: turns.longest(measure) for measure in ("wall", "held", "processor")}))
    assert turns.longest("held") <= BOUND_MS, "the add-on held up the window: see turns.json"


def measured(turns: Turns, scene: bpy.types.Scene, button: tuple[int, int]) -> harness.Steps:
    before = artist.job(scene).id
    turns.begin(f"{FRAMES} frames: part maps")
    harness.click(*button)
    yield from harness.until(lambda: artist.job(scene).id != before, 20, "a new job")
    yield from harness.until(lambda: not artist.job(scene).missing_maps(), 300, "the part maps")
    turns.phase = f"{FRAMES} frames: sent and computed"
    yield from harness.until(lambda: artist.state(scene) == "RUNNING", 120, "the animation to begin")
    yield RUNNING_S
    harness.screenshot("running")
    turns.phase = "cancelled"
    yield from artist.cancel(scene)

    scene.frame_end = scene.frame_start + 23
    turns.phase = "24 frames, cut out"
    yield from artist.start(scene)
    yield from harness.until(lambda: artist.state(scene) == "FETCHING" or artist.now(scene).state.ended, 400, "frames")
    turns.phase = "delivery of a plane"
    yield from artist.delivered(scene)
    turns.phase = "delivery of a strip, nodes and an image"
    runtime, first = artist.addon("ui.runtime").runtime(), artist.job(scene)
    with harness.override():
        for kind in ("STRIP", "COMPOSITOR", "IMAGE"):
            bpy.ops.magicanimate.use_result(job=first.id, kind=kind)
    yield from harness.until(lambda: not runtime.deliveries, 60, "the uses")
    uses = artist.addon("results").uses_of(first.id)
    assert (uses.planes, uses.strips, uses.compositor_nodes) == (1, 1, 1), uses

    turns.phase = "24 frames, another seed"
    artist.addon("ui.engine_settings").assign(scene, {"seed": 7})
    with harness.override():
        bpy.ops.magicanimate.regenerate(job=first.id)
    yield from harness.until(lambda: artist.job(scene).id != first.id, 20, "a new job")
    yield from harness.until(lambda: artist.state(scene) == "FETCHING" or artist.now(scene).state.ended, 400, "frames")
    turns.phase = "all four uses renewed"
    yield from artist.delivered(scene)
    assert artist.addon("results").uses_of(artist.job(scene).id) == uses
    turns.phase = "nothing to do"
    yield 3.0
    harness.screenshot("delivered")
