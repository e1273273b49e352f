"""What of a clip is computed when only some of its frames changed; the add-on foretells it by the same rules.

Neighbours are frames that stand side by side in a window, so whatever wraps around does so here, too.
"""

from collections.abc import Collection, Sequence
from itertools import pairwise

from inference_server.sampling.windows import Window


def touching(windows: Sequence[Window], frames: Collection[int]) -> list[Window]:
    """The windows that hold one of `frames`."""
    return [window for window in windows if not set(window).isdisjoint(frames)]


def shown_around(window: Window, frame: int, reach: int) -> frozenset[int]:
    """What a window shows within `reach` frames of one that it holds, itself included."""
    at = window.index(frame)
    return frozenset(window[max(0, at - reach) : at + reach + 1])


def needed_windows(windows: Sequence[Window], changed: Collection[int], reach: int) -> list[Window]:
    """The windows that run: those that hold a changed frame, less those that add nothing.

    A window adds nothing if it holds kept frames, too, and another one that runs shows all that it shows within
    `reach` of its changed frames: where one was shifted back over the one before, or wraps. With every frame changed
    all windows run.
    """
    running = touching(windows, changed)
    for window in list(running):
        others = [other for other in running if other is not window]
        held = [frame for frame in window if frame in changed]
        if len(held) < len(window) and all(_is_seen(window, frame, others, reach) for frame in held):
            running = others
    return running


def _is_seen(window: Window, frame: int, others: Sequence[Window], reach: int) -> bool:
    shown = shown_around(window, frame, reach)
    return any(frame in other and shown <= shown_around(other, frame, reach) for other in others)


def plan_changes(
    windows: Sequence[Window], changed: Collection[int], guard: int
) -> tuple[list[Window], frozenset[int]]:
    """The windows that run, and the frames that are computed, each in one of them: the changed ones and a guard.

    The guard has up to `guard` frames on each side, as far as no further window has to run for them. There the motion
    changes over to what is kept, whose first frame is always seen by a window that runs.
    """
    running = needed_windows(windows, changed, guard)
    idle = [window for window in windows if window not in running]
    near = {n for window in running for frame in window if frame in changed for n in shown_around(window, frame, guard)}
    free = {n for n in near if all(_is_seen(window, n, running, guard) for window in idle if n in window)}
    return running, frozenset(changed) | free


def joins_ends(windows: Sequence[Window], frames: int) -> bool:
    """Whether the first frame follows the last in a window."""
    return any((frames - 1, 0) in pairwise(window) for window in windows)


def beside_cuts(sources: Sequence[int | None], base_frames: int, *, joined: bool) -> frozenset[int]:
    """Frames that a changed neighbour makes new: both sides of where frames were cut out.

    sources: the earlier clip's frame that each frame continues, None for a new one. joined: the first frame follows
    the last, here and there.
    """
    pairs = list(pairwise(range(len(sources)))) + ([(len(sources) - 1, 0)] if joined and sources else [])
    cuts = set()
    for a, b in pairs:
        left, right = sources[a], sources[b]
        if left is None or right is None:
            continue
        following = 0 if b == 0 and left == base_frames - 1 else left + 1
        if right != following:
            cuts |= {a, b}
    return frozenset(cuts)
