"""Which frames are denoised together: overlapping windows over a clip."""

from math import ceil, log2
from typing import Literal

Mode = Literal["open", "original", "loop"]
Window = tuple[int, ...]


def plan_windows(frames: int, context: int, overlap: int, mode: Mode = "open") -> list[Window]:
    """Windows of `context` frames that cover frames 0..frames-1, neighbours sharing at least `overlap`.

    open: the last window is shifted back to end with the clip; nothing wraps. For clips with a beginning and an end.
    loop: evenly spaced windows that wrap around, also over the seam from the last frame to the first. For cycles.
    original: as the published code plans them (`plan_uniform`), which wraps at the end of any longer clip.
    Raises ValueError for sizes that make no plan.
    """
    if frames < 1 or context < 1 or not 0 <= overlap < context:
        raise ValueError(f"no windows of {context} frames with {overlap} shared over {frames} frames")
    if mode == "original":
        return plan_uniform(frames, context, overlap)
    if mode == "loop":
        return _plan_loop(frames, context, overlap)
    if frames <= context:
        return [tuple(range(frames))]
    stride = context - overlap
    starts = [*range(0, frames - context, stride), frames - context]
    return [tuple(range(start, start + context)) for start in starts]


def _plan_loop(frames: int, context: int, overlap: int) -> list[Window]:
    if frames == 1:
        return [(0,)]
    size = min(frames, context)
    count = max(2, ceil(frames / (context - overlap)))  # two even for a short clip: each sees the other's seam inside
    starts = sorted({i * frames // count for i in range(count)})
    return [tuple((start + i) % frames for i in range(size)) for start in starts]


def plan_uniform(
    frames: int, context: int, overlap: int, *, stride: int = 1, step: int = 0, closed_loop: bool = True
) -> list[Window]:
    """The published planner: uniform windows, closed over the end of the clip, optionally at several frame strides.

    `stride` is the number of stride levels (window frames are 1, 2, 4, ... apart); `step` shifts all windows by the
    bit-reversed fraction of the clip. The published pipeline always uses stride 1 and step 0.
    """
    if frames <= context:
        return [tuple(range(frames))]
    levels = min(stride, ceil(log2(frames / context)) + 1)
    fraction = int(f"{step:064b}"[::-1], 2) / 2**64
    shift = round(frames * fraction)
    windows = []
    for spacing in (2**level for level in range(levels)):
        first = int(fraction * spacing) + shift
        stop = frames + shift - (0 if closed_loop else overlap)
        for start in range(first, stop, context * spacing - overlap):
            windows.append(tuple((start + i * spacing) % frames for i in range(context)))
    return windows
