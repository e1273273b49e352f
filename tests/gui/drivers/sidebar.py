"""What an artist reads in a narrow sidebar of a small window: at each width a picture of each state of the panel."""

import artist
import bpy
import harness

WIDTHS = (280, 240)


def steps() -> harness.Steps:
    yield from harness.open_sidebar("MagicAnimate")
    yield from artist.connect()
    yield from pictures("1_welcome")
    with harness.override():
        bpy.ops.magicanimate.try_demo()
    scene = harness.window().scene
    yield from harness.until(lambda: artist.state(scene) == "RUNNING" and artist.now(scene).preview, 60, "a preview")
    yield 1.0
    yield from pictures("2_running")
    artist.job(scene).cancel()
    yield from harness.until(lambda: artist.state(scene) == "CANCELLED", 60, "the end")
    yield from pictures("3_cancelled")
    scene.camera.location.z += 1.2
    yield 2.0
    yield from pictures("4_warning")
    scene.magicanimate.consent = False
    yield from pictures("5_problem")


def pictures(name: str) -> harness.Steps:
    for width in WIDTHS:
        if abs(harness.region().width - width) > 12:
            yield from harness.widen_sidebar(width)
            harness.hover()
            yield 0.5
        harness.log(name, harness.region().width, harness.region().height)
        harness.screenshot(f"{name}_{width}")
