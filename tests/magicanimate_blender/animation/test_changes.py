"""What changed since a result: frames are kept only where their part map is the same one."""

import dataclasses
import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicanimate_blender.animation import (
    Full,
    JobSpec,
    Partial,
    Record,
    State,
    Unchanged,
    redo_only_settings,
    what_changed,
)
from magicanimate_blender.animation.matching import SHORTEST_RUN, align, match_runs

CLIP = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=30)
DISTINCT = st.lists(st.integers(0, 10_000).map(str), min_size=1, max_size=40, unique=True)


def spec(frames: int, **changes) -> JobSpec:
    values = {
        "engine": "magicanimate", "weights": "demo", "reference": "r" * 64, "frames": frames, "width": 64,
        "height": 64, "fps": 24.0, "settings": {"steps": 25, "seed": 1}, "consent": True,
    }  # fmt: skip
    return JobSpec(**{**values, **changes})


def record(maps, settings=None, **changes) -> Record:
    changed = {} if settings is None else {"settings": settings}
    values = {"id": "i", "spec": spec(len(maps), **changed), "state": State.DONE, "created": 0.0, "maps": tuple(maps)}
    return Record(**{**values, **changes})


def kept(base, new) -> int:
    return sum(source is not None and base[source] == new[n] for n, source in enumerate(align(base, new)))


@given(CLIP, CLIP)
def test_each_frame_is_continued_at_most_once_and_in_order(base, new):
    sources = align(base, new)
    assert len(sources) == len(new)
    continued = [source for source in sources if source is not None]
    assert continued == sorted(set(continued))
    assert set(continued) <= set(range(len(base)))


@given(st.lists(st.sampled_from("ab"), max_size=9), st.lists(st.sampled_from("ab"), max_size=9), st.integers(1, 3))
def test_no_other_way_of_keeping_runs_in_order_keeps_more(base, new, shortest):
    @functools.cache
    def most(i: int, j: int) -> int:
        if i == len(base) or j == len(new):
            return 0
        size, found = 0, max(most(i + 1, j), most(i, j + 1))
        while i + size < len(base) and j + size < len(new) and base[i + size] == new[j + size]:
            size += 1
            if size >= shortest:
                found = max(found, size + most(i + size, j + size))
        return found

    source = match_runs(base, new, shortest)
    assert sum(k is not None for k in source) == most(0, 0)
    padded = [None, *source, None]
    starts = [n for n in range(1, len(padded)) if padded[n] is not None and padded[n - 1] != (padded[n] or 0) - 1]
    for n in starts:
        assert all(padded[n + more] == (padded[n] or 0) + more for more in range(min(shortest, len(padded) - n - 1)))


@given(CLIP, CLIP)
def test_frames_that_stay_in_place_are_never_given_up_for_fewer(base, new):
    in_place = sum(a == b for a, b in zip(base, new, strict=False))
    assert kept(base, new) >= in_place
    assert kept(base, new) >= sum(source is not None for source in match_runs(base, new, SHORTEST_RUN))


@given(CLIP, st.integers(0, 3), st.data())
def test_changed_keys_and_their_neighbours_are_computed_and_no_other_frame(base, overlap, data):
    changed = data.draw(st.sets(st.integers(0, len(base) - 1)))
    new = ["new" if n in changed else digest for n, digest in enumerate(base)]
    settings = {"seed": 1, "context_frames": 64, "context_overlap": overlap}  # one window holds the clip
    plan = what_changed(record(base, settings=settings), spec(len(base), settings=settings), new)
    if not changed:
        assert plan == Unchanged(len(base))
    else:
        assert isinstance(plan, Partial)
        assert plan.changed == tuple(sorted(changed))
        near = {n for n in range(len(base)) if any(abs(n - c) <= overlap for c in changed)}
        assert plan.computed == tuple(sorted(near))


@given(DISTINCT, st.data())
def test_an_inserted_frame_costs_itself_alone(base, data):
    at = data.draw(st.integers(0, len(base)))
    sources = align(base, [*base[:at], "inserted", *base[at:]])
    if at >= SHORTEST_RUN and len(base) - at >= SHORTEST_RUN:
        assert sources == (*range(at), None, *range(at, len(base)))


@given(DISTINCT, st.data())
def test_a_trimmed_clip_keeps_all_that_is_left(base, data):
    begin = data.draw(st.integers(0, len(base) - 1))
    end = data.draw(st.integers(begin + 1, len(base)))
    if end - begin >= SHORTEST_RUN:
        assert align(base, base[begin:end]) == tuple(range(begin, end))


PINS = st.sets(st.integers(0, 29))


@given(CLIP, PINS, PINS, PINS)
def test_pins_decide_redo_before_keep(maps, redo, keep, stale):
    """Frames kept though they changed show the base's map: they stay in doubt until they are computed."""
    inside = set(range(len(maps)))
    redo, keep, stale = redo & inside, keep & inside, stale & inside
    new = ["new", *maps[1:]]
    base = record(maps, stale=tuple(stale))
    plan = what_changed(base, spec(len(maps), redo=tuple(redo), keep=tuple(keep)), new)
    expected = (({0} | stale) - keep) | redo
    if isinstance(plan, Partial):
        assert set(plan.changed) == set(plan.computed) == expected
    else:
        assert (plan, expected) == (Unchanged(len(maps), plan.stale), set())
    assert set(plan.stale) == ({0} | stale) & (keep - redo)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"reference": "s" * 64}, "another reference picture"),
        ({"weights": "magicanimate"}, "other weights"),
        ({"width": 128}, "another size"),
        ({"settings": {"steps": 25, "seed": 2}}, "another seed"),
        ({"settings": {"steps": 30, "seed": 1, "guidance_scale": 2}}, "another guidance scale, steps"),
    ],
)
def test_a_full_run_says_why(changes, reason):
    assert what_changed(record("abc"), spec(3, **changes), "abc") == Full(3, reason)


def test_a_base_that_is_gone_or_unfinished_means_a_full_run():
    assert what_changed(None, spec(2), "ab") == Full(2, "the earlier result is gone")
    unfinished = record("ab", state=State.CANCELLED)
    assert what_changed(unfinished, spec(2), "ab") == Full(2, "the earlier result is not complete")


def test_a_setting_for_redone_frames_alone_keeps_the_others():
    schema = {"properties": {"seed": {}, "redo_seed": {"redo_only": True}, "odd": True}}
    again = spec(3, settings={"steps": 25, "seed": 1, "redo_seed": 7}, redo=(1,))
    assert isinstance(what_changed(record("abc"), again, "abc"), Full)
    plan = what_changed(record("abc"), again, "abc", redo_only=redo_only_settings(schema))
    assert plan == Partial(3, (1,), (1,))
    assert redo_only_settings(None) == redo_only_settings({}) == frozenset()


def test_cut_lengthened_and_retimed_clips_keep_what_they_have():
    base = [str(n) for n in range(20)]
    settings = {"seed": 1, "context_frames": 64, "context_overlap": 2}  # one window holds the clip

    def plan(new, **pins):
        return what_changed(record(base, settings=settings), spec(len(new), settings=settings, **pins), new)

    assert plan([*base[:10], "x", "y", *base[10:]]) == Partial(22, (10, 11), tuple(range(8, 14)))
    cut = [*base[:8], *base[12:]]
    assert plan(cut) == Partial(16, (7, 8), (5, 6, 7, 8, 9, 10))
    assert plan(cut, keep=(7, 8)) == Partial(16, (), (5, 6, 9, 10))
    assert plan([*base, "x"], keep=(20,)) == Partial(21, (20,), (18, 19, 20)), "a new frame can't be kept"
    assert plan(base[5:]) == Partial(15, (), ())
    assert plan(base[5:]).sentence == "None of 15 frames will be computed"
    assert plan(["x"] * 3) == Partial(3, (0, 1, 2), (0, 1, 2))


def test_a_guard_ends_where_another_window_would_have_to_run_for_it():
    base = [str(n) for n in range(28)]  # windows of the frames 0 to 15 and 12 to 27
    settings = {"context_frames": 16, "context_overlap": 4}

    def computed(*changed):
        new = ["x" if n in changed else digest for n, digest in enumerate(base)]
        plan = what_changed(record(base, settings=settings), spec(28, settings=settings), new)
        return (plan.computed[0], plan.computed[-1])

    assert computed(6) == (2, 10)
    assert computed(11) == (7, 11)
    assert computed(12) == (8, 16)
    assert computed(16) == (16, 20)


def test_an_engine_without_windows_computes_what_changed_alone():
    assert what_changed(record("abc"), spec(3), "xbc") == Partial(3, (0,), (0,))


def test_a_loop_is_joined_at_its_ends():
    base = [str(n) for n in range(48)]
    settings = {"windows": "loop", "context_frames": 16, "context_overlap": 4}

    def plan(new):
        return what_changed(record(base, settings=settings), spec(len(new), settings=settings), new)

    assert plan(["x", *base[1:]]).computed == (0, 1, 2, 3, 4, 44, 45, 46, 47)
    trimmed = plan(base[:36])
    assert trimmed.changed == (0, 35), "they were not neighbours"
    assert trimmed.computed == (0, 1, 2, 3, 4, 31, 32, 33, 34, 35)


def test_the_panel_reads_one_sentence():
    base = record([str(n) for n in range(120)])
    new = ["x" if 30 <= n < 42 else str(n) for n in range(120)]
    assert what_changed(base, spec(120), new).sentence == "12 of 120 frames will be computed"
    assert what_changed(base, spec(120), base.maps).sentence == "Nothing changed: none of 120 frames will be computed"
    assert what_changed(base, spec(1, width=1), "a").sentence == "All 1 frame will be computed: another size"


def test_the_name_and_the_range_may_change_without_a_computation():
    renamed = dataclasses.replace(spec(2), name="other", frame_start=50, fps=12.0)
    assert what_changed(record("ab"), renamed, "ab") == Unchanged(2)
