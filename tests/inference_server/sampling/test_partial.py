"""What is computed when some frames changed: little, but enough to run smoothly into what is kept."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.sampling.partial import beside_cuts, joins_ends, plan_changes
from inference_server.sampling.windows import plan_windows

MODES = st.sampled_from(["open", "loop", "original"])


@st.composite
def changes(draw):
    """(windows, overlap, changed frames) of a clip."""
    frames, context = draw(st.integers(1, 70)), draw(st.integers(2, 20))
    overlap = draw(st.integers(1, context - 1))
    windows = plan_windows(frames, context, overlap, draw(MODES))
    return windows, overlap, draw(st.frozensets(st.integers(0, frames - 1)))


@pytest.mark.parametrize("mode", ["open", "loop", "original"])
def test_eight_changed_frames_of_128_cost_a_quarter_at_most_wherever_they_are(mode):
    windows = plan_windows(128, 16, 4, mode)
    for first in range(128 if mode == "loop" else 121):
        changed = {(first + n) % 128 for n in range(8)}
        running, active = plan_changes(windows, changed, 4)
        assert changed <= active
        assert len(running) <= len(windows) / 4


@given(changes())
def test_a_guard_is_computed_by_windows_that_run_anyway(change):
    windows, overlap, changed = change
    running, active = plan_changes(windows, changed, overlap)
    assert changed <= active <= {frame for window in running for frame in window}
    assert all(set(window) & changed for window in running)


@given(changes())
def test_every_border_is_seen_by_a_window_that_runs(change):
    windows, overlap, changed = change
    running, active = plan_changes(windows, changed, overlap)
    neighbours, seen = ({pair for window in each for pair in pairwise(window)} for each in (windows, running))
    assert {pair for pair in neighbours if (pair[0] in active) != (pair[1] in active)} <= seen


@given(changes())
def test_everything_changed_runs_every_window_and_nothing_changed_none(change):
    windows, overlap, _ = change
    every = frozenset(frame for window in windows for frame in window)
    assert plan_changes(windows, every, overlap) == (windows, every)
    assert plan_changes(windows, (), overlap) == ([], frozenset())


def test_a_guard_reaches_over_the_seam_of_a_loop():
    windows = plan_windows(48, 16, 4, "loop")
    assert plan_changes(windows, {0}, 4)[1] == {44, 45, 46, 47, 0, 1, 2, 3, 4}
    assert plan_changes(plan_windows(48, 16, 4, "open"), {0}, 4)[1] == {0, 1, 2, 3, 4}
    assert joins_ends(windows, 48)
    assert not joins_ends(plan_windows(48, 16, 4, "open"), 48)


def test_a_shortened_loop_has_a_cut_at_its_seam():
    assert beside_cuts(range(10), 12, joined=False) == set()
    assert beside_cuts(range(10), 12, joined=True) == {0, 9}
    assert beside_cuts(range(12), 12, joined=True) == set()
    assert beside_cuts((0, 1, 4, 5, None, 6), 7, joined=True) == {1, 2}
