"""Cancel while part maps are drawn ends the drawing, too."""

import artist
import harness

LONG = 20_000
"""Frames whose drawing takes longer than the test."""


def steps() -> harness.Steps:
    yield from artist.open_sidebar()
    yield from artist.connect()
    scene = yield from artist.add_demo()
    yield from artist.draw(scene, LONG)
    place = yield from harness.scroll_to_button("magicanimate.cancel", across=0.8)
    assert artist.state(scene) == "DRAWING"
    harness.click(*place)
    yield from harness.until(lambda: artist.state(scene) == "CANCELLED", 10, "the animation to be cancelled")
    yield 1.0
    drawings, missing = artist.addon("ui.runtime").runtime().drawings, len(artist.job(scene).missing_maps())
    assert not drawings
    yield 3.0
    assert 0 < missing == len(artist.job(scene).missing_maps())
    harness.screenshot("cancelled")

    yield from artist.draw(scene, 24)  # another begins as if nothing had been
    yield from harness.until(lambda: artist.state(scene) == "RUNNING", 60, "the next animation")
    artist.job(scene).cancel()
