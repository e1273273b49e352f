import numpy as np
import pytest

from magicanimate_blender.results import add_strip


def test_a_strip_plays_in_its_time(scene, make_clip, render):
    strip = add_strip(scene, make_clip(start=10))
    assert (strip.frame_final_start, strip.frame_final_end) == (10, 16)
    assert [tuple(render(f)[8, 8][:3]) for f in (10, 15)] == [(20, 90, 160), (120, 90, 160)]


def test_another_rate(scene, make_clip, render):
    strip = add_strip(scene, make_clip(fps=12, start=10))
    assert strip.frame_final_duration == 12
    assert [render(f)[8, 8][0] for f in (10, 11, 12, 21)] == [20, 20, 40, 120]


@pytest.mark.parametrize("view", ["Standard", "AgX", "Filmic"])
def test_colours_come_out_as_delivered(scene, make_clip, render, view):
    scene.view_settings.view_transform = view
    add_strip(scene, make_clip(colour=(200, 160, 140)))
    assert np.abs(render(10)[8, 8][:3].astype(int) - (200, 160, 140)).max() <= 1


def test_the_first_free_channel_is_taken(scene, make_clip):
    channels = [add_strip(scene, make_clip(f"from {start}", start=start)).channel for start in (1, 3, 40)]
    assert channels == [1, 2, 1]
