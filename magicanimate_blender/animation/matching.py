"""Which frames of an earlier clip a new clip still has, in order."""

from collections.abc import Sequence

import numpy as np

SHORTEST_RUN = 4
"""Frames that moved are kept only in runs of at least so many: shorter ones lie within the reach of a window's
overlap with the changed frames around them and would be computed anyway."""


def match_frames(base: Sequence[str], new: Sequence[str]) -> tuple[int | None, ...]:
    """For each frame of `new` the frame of `base` it equals, or None.

    Frames that stay in place match one by one; where frames were inserted, removed or retimed, runs of at least
    SHORTEST_RUN equal frames match in order. Whichever keeps more frames wins, staying in place if equal.
    """
    in_place = tuple(n if n < len(base) and base[n] == digest else None for n, digest in enumerate(new))
    moved = match_runs(base, new, SHORTEST_RUN)
    return moved if moved.count(None) < in_place.count(None) else in_place


def match_runs(base: Sequence[str], new: Sequence[str], shortest: int) -> tuple[int | None, ...]:
    """Keep as many frames of `new` as can be, in the order of `base`, in runs of `shortest` or more.

    The longest common subsequence by dynamic programming, but of runs; 1,000 x 1,000 frames are 1,000 numpy rows.
    """
    numbers: dict[str, int] = {}
    a, b = (
        np.array([numbers.setdefault(digest, len(numbers)) for digest in clip], dtype=np.int64) for clip in (base, new)
    )
    # best[i, j]: frames kept of base[:i], new[:j]; ending[i, j]: the same if these end with a kept frame, else 0.
    best = np.zeros((len(a) + 1, len(b) + 1), dtype=np.int32)
    ending = np.zeros_like(best)
    run = np.zeros(len(b) + 1, dtype=np.int32)
    for i in range(1, len(a) + 1):
        run[1:] = np.where(a[i - 1] == b, run[:-1] + 1, 0)
        if i >= shortest:
            begun = np.zeros(len(b) + 1, dtype=np.int32)
            begun[shortest:] = best[i - shortest, : max(len(b) + 1 - shortest, 0)] + shortest
            grown = np.zeros(len(b) + 1, dtype=np.int32)
            grown[1:] = np.where(ending[i - 1, :-1] > 0, ending[i - 1, :-1] + 1, 0)
            ending[i] = np.where(run >= shortest, np.maximum(begun, grown), 0)
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
        for _ in range(shortest):
            i, j = i - 1, j - 1
            source[j] = i
    return tuple(source)
