"""ESC stops playback and nothing else: not while part maps are drawn, not while the server computes."""

import artist
import bpy
import harness

LONG = 20_000
"""Frames whose drawing takes longer than the test."""


def steps() -> harness.Steps:
    yield from artist.open_sidebar()
    yield from artist.connect()
    scene = yield from artist.add_demo()
    yield from artist.draw(scene, LONG)
    yield from stop_playback(scene, "DRAWING")
    yield from artist.cancel(scene)

    yield from artist.draw(scene, 24)
    yield from harness.until(lambda: artist.state(scene) == "RUNNING", 60, "the animation to begin")
    yield from stop_playback(scene, "RUNNING")
    yield from artist.cancel(scene)


def stop_playback(scene: bpy.types.Scene, state: str) -> harness.Steps:
    """By ESC; a second ESC has nothing left to stop."""
    screen = harness.window().screen
    harness.hover()
    harness.press("space")
    yield from harness.until(lambda: screen.is_animation_playing, 20, "playback")
    yield 1.0
    harness.press("Escape")
    yield from harness.until(lambda: not screen.is_animation_playing, 20, "the end of playback")
    harness.press("Escape")
    yield 3.0
    harness.screenshot(f"after_esc_while_{state.lower()}")
    assert artist.state(scene) == state, artist.now(scene)
