import json
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inference_server.sampling.windows import plan_uniform, plan_windows

plans = st.tuples(st.integers(1, 200), st.integers(2, 24), st.integers(0, 23))


@pytest.mark.golden
def test_the_published_planner(golden_dir):
    rows = json.loads((golden_dir / "windows.json").read_text())
    assert rows
    for row in rows:
        ours = plan_uniform(
            row["frames"],
            row["context"],
            row["overlap"],
            stride=row["stride"],
            step=row["step"],
            closed_loop=row["closed_loop"],
        )
        assert [list(window) for window in ours] == row["windows"], row


@given(plans, st.sampled_from(["open", "loop", "original"]))
def test_every_frame_is_in_a_window_of_full_length(plan, mode):
    frames, context, overlap = plan
    assume(overlap < context)
    windows = plan_windows(frames, context, overlap, mode)
    assert set().union(*windows) == set(range(frames))
    assert {len(window) for window in windows} == {min(frames, context)}


@given(plans)
def test_open_windows_never_wrap_and_share_the_overlap(plan):
    frames, context, overlap = plan
    assume(overlap < context)
    windows = plan_windows(frames, context, overlap, "open")
    for window in windows:
        assert window == tuple(range(window[0], window[-1] + 1))
    for left, right in pairwise(windows):
        assert len(set(left) & set(right)) >= overlap


@given(plans)
def test_loop_windows_share_the_overlap_over_the_seam_too(plan):
    frames, context, overlap = plan
    assume(overlap < context)
    windows = plan_windows(frames, context, overlap, "loop")
    if frames > context:
        for left, right in zip(windows, [*windows[1:], windows[0]], strict=True):
            assert len(set(left) & set(right)) >= overlap
    if frames > 1 and overlap:  # somewhere the last frame is followed by the first
        assert any((frames - 1, 0) in pairwise(window) for window in windows)


@pytest.mark.parametrize(("frames", "context", "overlap"), [(0, 16, 4), (8, 0, 0), (8, 4, 4), (8, 4, -1)])
def test_impossible_plans_are_refused(frames, context, overlap):
    with pytest.raises(ValueError, match="no windows"):
        plan_windows(frames, context, overlap)
