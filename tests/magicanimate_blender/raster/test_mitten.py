import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from magicanimate_blender.raster.mitten import mitten_hands


@pytest.fixture
def spread_hand():
    """A palm with four fingers three pixels wide and three apart, in front of a torso; a foot below."""
    labels = np.zeros((60, 60), np.uint8)
    labels[:, 30:] = 2
    labels[30:45, 10:34] = 4
    for finger in range(4):
        labels[12:30, 10 + 6 * finger : 13 + 6 * finger] = 4
    labels[50:, 10:13] = 5
    return labels


def test_gaps_between_fingers_close(spread_hand):
    closed = mitten_hands(spread_hand)
    assert (closed[16:44, 11:30] == 4).all()


def test_the_hand_does_not_grow_outward_and_nothing_else_changes(spread_hand):
    closed = mitten_hands(spread_hand)
    box = np.zeros_like(closed, bool)
    box[12:45, 10:34] = True
    assert (closed[~box] == spread_hand[~box]).all()
    assert (closed[spread_hand == 4] == 4).all()


def test_two_hands_stay_apart():
    labels = np.zeros((40, 60), np.uint8)
    labels[10:30, 5:20] = 3
    labels[10:30, 40:55] = 4
    assert (mitten_hands(labels) == labels).all()


@given(labels=arrays.arrays(np.uint8, (12, 14), elements=st.sampled_from([0, 2, 3, 4])), radius=st.integers(1, 3))
def test_closing_only_adds_and_is_done_once(labels, radius):
    closed = mitten_hands(labels, radius)
    changed = closed != labels
    assert np.isin(closed[changed], [3, 4]).all()
    left_only = np.where(labels == 3, 0, labels).astype(np.uint8)
    once = mitten_hands(left_only, radius)
    assert (mitten_hands(once, radius) == once).all()


def test_a_picture_without_hands_stays():
    labels = np.full((5, 5), 2, np.uint8)
    assert (mitten_hands(labels) == labels).all()
