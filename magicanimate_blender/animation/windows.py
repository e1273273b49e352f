"""Which frames the engine computes together, and so which are computed when some changed. The server plans by the
same rules (its sampling/windows.py and sampling/partial.py), and a test compares the two."""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

NOISE_TILE = 16
"""Windows as published are planned over a multiple of so many frames, the last one repeated."""

Window = tuple[int, ...]


def padded_length(settings: Mapping[str, Any], frames: int) -> int:
    """Frames that are computed; those beyond the clip repeat its last one."""
    return -(-frames // NOISE_TILE) * NOISE_TILE if settings.get("windows") == "original" else frames


def plan_windows(settings: Mapping[str, Any], frames: int) -> list[Window]:
    """The windows of a full run by the engine's settings; each frame alone for an engine that knows no windows."""
    if "context_frames" not in settings:
        return [(n,) for n in range(frames)]
    context, mode = int(settings["context_frames"]), settings.get("windows", "open")
    stride = context - int(settings.get("context_overlap", 0))
    if mode == "loop":
        size, count = min(frames, context), max(2, -(-frames // stride))
        starts = sorted({n * frames // count for n in range(count)})
        return [tuple((start + n) % frames for n in range(size)) for start in starts]
    frames = padded_length(settings, frames)
    if frames <= context:
        return [tuple(range(frames))]
    starts = list(range(0, frames, stride)) if mode == "original" else [*range(0, frames - context, stride)]
    if mode != "original":
        starts.append(frames - context)
    return [tuple((start + n) % frames for n in range(context)) for start in starts]


def with_guard(windows: Sequence[Window], changed: Collection[int], guard: int) -> frozenset[int]:
    """Changed frames, and up to `guard` on each side as far as no further window has to run for them."""
    running = needed_windows(windows, changed, guard)
    idle = [window for window in windows if window not in running]
    near = {n for window in running for frame in window if frame in changed for n in _around(window, frame, guard)}
    free = {n for n in near if all(_is_seen(window, n, running, guard) for window in idle if n in window)}
    return frozenset(changed) | free


def needed_windows(windows: Sequence[Window], changed: Collection[int], reach: int) -> list[Window]:
    """The windows that run: with a changed frame, and showing around one what no other does, or changed throughout."""
    running = [window for window in windows if not set(window).isdisjoint(changed)]
    for window in list(running):
        others = [other for other in running if other is not window]
        held = [frame for frame in window if frame in changed]
        if len(held) < len(window) and all(_is_seen(window, frame, others, reach) for frame in held):
            running = others
    return running


def joins_ends(windows: Sequence[Window], frames: int) -> bool:
    """Whether the first frame follows the last in a window."""
    return any((frames - 1, 0) in pairwise(window) for window in windows)


def _around(window: Window, frame: int, reach: int) -> frozenset[int]:
    at = window.index(frame)
    return frozenset(window[max(0, at - reach) : at + reach + 1])


def _is_seen(window: Window, frame: int, others: Sequence[Window], reach: int) -> bool:
    shown = _around(window, frame, reach)
    return any(frame in other and shown <= _around(other, frame, reach) for other in others)
