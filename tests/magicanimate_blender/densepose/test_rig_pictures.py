import pytest

from magicanimate_blender.raster.png import decode_labels
from tools.cc0_bodies import RIGS, ROOT, load_body, pose_arms
from tools.draw_rig_maps import maps


def picture(rig):
    return decode_labels((ROOT / "docs" / "images" / f"rigs-{rig.lower()}.png").read_bytes())


@pytest.mark.parametrize("rig", RIGS)
def test_the_manual_shows_every_rig(rig):
    assert set(picture(rig).ravel()) == set(range(25))


def test_the_manual_shows_what_the_code_draws():
    now = maps(pose_arms(load_body("male"), 0), "Rigify", 1.9)
    shown = picture("Rigify")[:, : now.shape[1]]
    assert (now != shown).mean() < 0.001
