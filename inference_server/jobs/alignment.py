"""Which frame of an earlier clip each frame of a new one continues; the add-on foretells it by the same rule."""

from collections.abc import Hashable, Sequence

import numpy as np

SHORTEST_RUN = 4
"""Frames that moved are kept only in runs of at least so many: shorter ones lie within the reach of a window's
overlap with the changed frames around them and would be computed anyway."""
MAX_COMPARISONS = 4096 * 4096
"""Frames times frames; beyond, frames are matched in place only, for the comparison would take 64 MB and more."""

Sources = tuple[int | None, ...]


def align(base: Sequence[Hashable], new: Sequence[Hashable]) -> Sources:
    """For each frame of `new` the frame of `base` that it continues, None for one without a forerunner.

    base, new: one value per frame that is equal where the maps are. A frame may continue one whose map differs: that
    is a change, not a new frame. Frames stay in place unless moving them keeps more; those between two kept runs that
    were as many before continue these.
    """
    in_place: Sources = tuple(n if n < len(base) else None for n in range(len(new)))
    if _kept(base, new, in_place) == len(new) or len(base) * len(new) > MAX_COMPARISONS:
        return in_place
    moved = _fill(_match_runs(base, new), len(base))
    return moved if _kept(base, new, moved) > _kept(base, new, in_place) else in_place


def _fill(matched: Sources, base: int) -> Sources:
    """Gaps between runs that are as long as in the base: their frames changed, nothing was inserted."""
    sources = list(matched)
    end, base_end = 0, 0
    for n, source in enumerate((*matched, base)):
        if source is None:
            continue
        if n - end == source - base_end:
            sources[end:n] = range(base_end, source)
        end, base_end = n + 1, source + 1
    return tuple(sources)


def _kept(base: Sequence[Hashable], new: Sequence[Hashable], sources: Sources) -> int:
    return sum(source is not None and base[source] == new[n] for n, source in enumerate(sources))


def _match_runs(base: Sequence[Hashable], new: Sequence[Hashable]) -> Sources:
    """Keep as many frames of `new` as can be, in the order of `base`, in runs of SHORTEST_RUN or more.

    The longest common subsequence by dynamic programming, but of runs; 1,000 x 1,000 frames are 1,000 numpy rows.
    """
    numbers: dict[Hashable, int] = {}
    a, b = (
        np.array([numbers.setdefault(digest, len(numbers)) for digest in clip], dtype=np.int64) for clip in (base, new)
    )
    # best[i, j]: frames kept of base[:i], new[:j]; ending[i, j]: the same if these end with a kept frame, else 0.
    best = np.zeros((len(a) + 1, len(b) + 1), dtype=np.int16)  # the shorter clip has at most 4096 frames
    ending = np.zeros_like(best)
    run = np.zeros(len(b) + 1, dtype=np.int16)
    for i in range(1, len(a) + 1):
        run[1:] = np.where(a[i - 1] == b, run[:-1] + 1, 0)
        if i >= SHORTEST_RUN:
            begun = np.zeros_like(run)
            begun[SHORTEST_RUN:] = best[i - SHORTEST_RUN, : max(len(b) + 1 - SHORTEST_RUN, 0)] + SHORTEST_RUN
            grown = np.zeros_like(run)
            grown[1:] = np.where(ending[i - 1, :-1] > 0, ending[i - 1, :-1] + 1, 0)
            ending[i] = np.where(run >= SHORTEST_RUN, np.maximum(begun, grown), 0)
        best[i] = np.maximum.accumulate(np.maximum(best[i - 1], ending[i]))
    source: list[int | None] = [None] * len(b)
    i, j = len(a), len(b)
    while best[i, j]:
        if ending[i, j] != best[i, j]:
            i, j = (i - 1, j) if best[i - 1, j] == best[i, j] else (i, j - 1)
            continue
        while ending[i - 1, j - 1] and ending[i - 1, j - 1] + 1 == ending[i, j]:
            i, j = i - 1, j - 1
            source[j] = i
        for _ in range(SHORTEST_RUN):
            i, j = i - 1, j - 1
            source[j] = i
    return tuple(source)
