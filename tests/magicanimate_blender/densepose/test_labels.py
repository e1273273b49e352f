import numpy as np
import pytest

from magicanimate_blender.densepose.labels import BACKGROUND, LABELS, MIRROR, PALETTE


def test_there_are_24_parts_and_the_background_in_order():
    assert [row.label for row in LABELS] == list(range(25))
    assert LABELS[BACKGROUND].colour == (68, 1, 84)


def test_colours_are_viridis_at_the_truncated_level():
    viridis = pytest.importorskip("matplotlib").colormaps["viridis"]
    levels = np.floor(np.arange(25) * 255 / 24).astype(int)
    # the pictures come from OpenCV's copy of the table, which rounds a few channels to the other side
    assert np.abs((np.array(viridis.colors)[levels] * 255).round() - PALETTE).max() <= 1


def test_all_colours_differ():
    assert len(np.unique(PALETTE, axis=0)) == 25


@pytest.mark.parametrize("row", LABELS, ids=lambda row: row.name)
def test_mirror_swaps_left_and_right_in_the_name(row):
    swapped = row.name.replace("left", "·").replace("right", "left").replace("·", "right")
    assert LABELS[MIRROR[row.label]].name == swapped
    assert MIRROR[MIRROR[row.label]] == row.label
