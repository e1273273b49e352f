"""Which frame of an earlier clip each frame of a new one continues, when frames were inserted, removed or moved."""

from collections.abc import Hashable, Sequence
from difflib import SequenceMatcher

SHORTEST_RUN = 4
"""Moved frames are taken over in runs of at least so many; shorter ones lie within reach of the changes around them."""
MAX_COMPARISONS = 4096 * 4096
"""Frames times frames; the comparison takes seconds beyond."""

Sources = tuple[int | None, ...]


def align(base: Sequence[Hashable], new: Sequence[Hashable]) -> Sources:
    """For each frame of `new` the frame of `base` that it continues, None for one without a forerunner.

    base, new: one value per frame that is equal where the maps are. Frames stay in place unless moving them keeps more.
    """
    in_place: Sources = tuple(n if n < len(base) else None for n in range(len(new)))
    if _kept(base, new, in_place) == len(new) or len(base) * len(new) > MAX_COMPARISONS:
        return in_place
    moved = _moved(base, new)
    return moved if _kept(base, new, moved) > _kept(base, new, in_place) else in_place


def _moved(base: Sequence[Hashable], new: Sequence[Hashable]) -> Sources:
    sources: list[int | None] = [None] * len(new)
    blocks = SequenceMatcher(None, base, new, autojunk=False).get_matching_blocks()
    ends = (0, 0)
    for block in blocks:
        is_end = block.size == 0
        if not is_end and block.size < SHORTEST_RUN:
            continue
        gap, base_gap = block.b - ends[1], block.a - ends[0]
        if gap == base_gap:  # as many frames as before between two runs: changed, not inserted
            sources[ends[1] : block.b] = range(ends[0], block.a)
        sources[block.b : block.b + block.size] = range(block.a, block.a + block.size)
        ends = (block.a + block.size, block.b + block.size)
    return tuple(sources)


def _kept(base: Sequence[Hashable], new: Sequence[Hashable], sources: Sources) -> int:
    return sum(source is not None and base[source] == new[n] for n, source in enumerate(sources))
