import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from magicanimate_blender.results.matte import silhouette

GROW, SOFTEN = st.integers(0, 4), st.integers(0, 4)


def test_plain_coverage_is_the_silhouette():
    labels = np.array([[0, 3], [24, 0]], np.uint8)
    assert silhouette(labels, grow=0, soften=0).tolist() == [[0, 255], [255, 0]]


@given(GROW, SOFTEN)
def test_far_inside_is_solid_and_far_outside_is_clear(grow, soften):
    labels = np.zeros((40, 40), np.uint8)
    labels[12:28, 12:28] = 5
    cover = silhouette(labels, grow=grow, soften=soften)
    assert (cover[16:24, 16:24] == 255).all()
    reach = grow + soften
    cover[12 - reach : 28 + reach, 12 - reach : 28 + reach] = 0
    assert not cover.any()


@given(st.integers(0, 2**32 - 1), GROW, SOFTEN)
def test_a_mirrored_figure_has_the_mirrored_matte(seed, grow, soften):
    labels = (np.random.default_rng(seed).random((12, 17)) > 0.8).astype(np.uint8)
    mirrored = silhouette(labels[:, ::-1], grow=grow, soften=soften)
    np.testing.assert_array_equal(mirrored, silhouette(labels, grow=grow, soften=soften)[:, ::-1])
