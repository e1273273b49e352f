"""What an artist sees in a narrow sidebar of a small window: each state of the panels, with a picture of each width."""

import artist
import bpy
import harness

WIDTHS = (280, 240)
"""Of the sidebar, in pixels."""


def steps() -> harness.Steps:
    open_all_panels()
    yield from harness.open_sidebar("MagicAnimate")
    yield from artist.connect()
    yield from pictures("1_welcome")
    scene = harness.window().scene = bpy.data.scenes.new("Shot")
    artist.addon("ui.operators.demo").set_up(scene)
    scene.frame_end = 6
    yield from artist.start(scene)
    animate = yield from harness.find_button("magicanimate.animate")
    harness.screenshot("2_begun")
    yield from harness.until(lambda: artist.state(scene) == "RUNNING" and artist.now(scene).preview, 200, "a preview")
    yield 1.0
    yield from pictures("3_running")
    cancel = yield from harness.find_button("magicanimate.cancel", across=0.8)
    yield from stays(animate)
    yield from escape_stops_playback_alone(scene)
    harness.click(*cancel)
    yield from harness.until(lambda: artist.state(scene) == "CANCELLED", 60, "the end")
    yield from pictures("4_cancelled")

    scene.camera.location.z += 1.2
    warned = artist.addon("ui.scene_facts").facts
    yield from harness.until(lambda: warned(scene).warnings, 30, "a warning")
    yield 1.0
    yield from pictures("5_warning")
    yield from stays(animate)
    scene.magicanimate.consent = False
    yield from pictures("6_problem")
    scene.magicanimate.consent = True

    with harness.override():
        bpy.ops.magicanimate.animate()
    yield from harness.until(lambda: artist.state(scene) == "RUNNING", 200, "another job")
    harness.click(*end_of_status_bar())
    yield from harness.until(lambda: artist.state(scene) == "CANCELLED", 60, "Cancel in the status bar")
    for page in range(1, 5):
        harness.scroll_region(12)
        yield 2.0
        harness.screenshot(f"7_page_{page}")


def open_all_panels() -> None:
    """Those that are closed at first, too. Before any was drawn: Blender remembers which are open."""
    panels = artist.addon("ui.panels").CLASSES
    for each in reversed(panels):
        bpy.utils.unregister_class(each)
    for each in panels:
        if "DEFAULT_CLOSED" in getattr(each, "bl_options", ()) and each.__name__ != "MAGICANIMATE_PT_delivery":
            each.bl_options = set()
        bpy.utils.register_class(each)


def pictures(name: str) -> harness.Steps:
    for width in WIDTHS:
        if abs(harness.region().width - width) > 12:  # the sidebar's edge moves in steps
            yield from harness.widen_sidebar(width)
            harness.hover()
            yield 0.5
        harness.screenshot(f"{name}_{width}")


def stays(place: tuple[int, int]) -> harness.Steps:
    """The button Animate is where it was, to a pixel of the search's step."""
    now = yield from harness.find_button("magicanimate.animate")
    assert now[1] == place[1], (now, place)


def escape_stops_playback_alone(scene: bpy.types.Scene) -> harness.Steps:
    with harness.override():
        bpy.ops.screen.animation_play()
    yield from harness.until(lambda: harness.window().screen.is_animation_playing, 20, "playback")
    harness.hover()
    yield 0.5
    harness.press("Escape")
    yield from harness.until(lambda: not harness.window().screen.is_animation_playing, 20, "playback to stop")
    yield 1.0
    assert artist.state(scene) == "RUNNING", artist.now(scene)


def end_of_status_bar() -> tuple[int, int]:
    """The last button there is ours."""
    window = harness.window()
    return window.width - 17, window.height - 11
