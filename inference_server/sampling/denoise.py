"""The denoising loop: windows predict noise, overlaps are averaged, the solver steps frame after frame."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from inference_server.sampling.partial import touching
from inference_server.sampling.solver import Solver
from inference_server.sampling.windows import Window

Predict = Callable[[int, Sequence[Window], Tensor], Tensor]
"""(step index, windows of one length, their latents in turn (windows * n, C, h, w)) -> noise, after guidance."""


class KeptLatents(Protocol):
    """Latents of an earlier run of the same clip, from which frames that are not computed again are taken."""

    def at(self, step: int, frames: Sequence[int]) -> Tensor:
        """Latents (len(frames), C, h, w), float32, as they were BEFORE step `step`; at `steps`: the final ones."""
        ...


class Retimed:
    """`KeptLatents` of a run whose frames were moved: frame n of this clip was frame sources[n] of that one."""

    def __init__(self, kept: KeptLatents, sources: Sequence[int | None]) -> None:
        self._kept = kept
        self._sources = sources

    def at(self, step: int, frames: Sequence[int]) -> Tensor:
        """Raises ValueError for a frame that the earlier run does not have."""
        earlier = [self._sources[frame] for frame in frames]
        if None in earlier:
            raise ValueError("a frame without a forerunner has no latents to follow")
        return self._kept.at(step, [frame for frame in earlier if frame is not None])


def estimate_clean(solver: Solver, step: int, latents: Tensor, noise: Tensor) -> Tensor:
    """Where predicted noise points: x0 = (x - sqrt(1 - a) e) / sqrt(a) (Song et al. 2020, DDIM, equation 9)."""
    signal = solver.alphas_cumprod[int(solver.timesteps[step])]
    return (latents - (1 - signal).sqrt() * noise) / signal.sqrt()


@dataclass(frozen=True)
class Round:
    """Windows that are predicted together, and what is ready after them: frames that no later window holds.

    moved: these take a step of the solver, whose memory of them is its own. followed: these follow the kept latents.
    """

    windows: Sequence[Window]
    moved: Sequence[int]
    followed: Sequence[int]
    solver: Solver


def plan_rounds(windows: Sequence[Window], active: Collection[int], batch: int, solver: Solver) -> list[Round]:
    """Rounds of `batch` windows each, in order."""
    last = {frame: n for n, window in enumerate(windows) for frame in window}
    tables = {id(value): value for value in vars(solver).values() if isinstance(value, Tensor)}  # shared, not copied
    rounds = []
    for first in range(0, len(windows), batch):
        ready = [frame for frame, n in last.items() if first <= n < first + batch]
        moved, followed = ([f for f in ready if (f in active) == wanted] for wanted in (True, False))
        rounds.append(Round(windows[first : first + batch], moved, followed, deepcopy(solver, dict(tables))))
    return rounds


@torch.no_grad()
def denoise(
    latents: Tensor,
    solver: Solver,
    windows: Sequence[Window],
    predict: Predict,
    *,
    on_step: Callable[[int, Tensor, Tensor], None],
    on_round: Callable[[int, float, Tensor | None], None] = lambda _step, _part, _clean: None,
    start: int = 0,
    active: Collection[int] | None = None,
    kept: KeptLatents | None = None,
    batch: int = 1,
    watched: Sequence[int] = (),
) -> Tensor:
    """Run the solver from step `start` on and return the final latents.

    latents: (F, C, h, w), float32 on the CPU, changed in place. The clip lives there, maybe in a mapped file: beside
        it the loop holds a few windows, however long the clip is, but for what a solver remembers from step to step.
    on_step: called after every step with (steps done, latents, estimate of the clean latents of the frames
        `watched`, which must be computed ones); may raise to cancel.
    on_round: called within a step after every round of windows but the last with (steps done, part of this step that
        is done in 0..1, estimate (1, C, h, w) of a frame that the round completed, None if it completed none); may
        raise to cancel.
    active, kept: compute only these frames, each in at least one of `windows`. Windows without one do not run; in the
        others the remaining frames follow `kept`. With every frame active and all windows of the plan given the
        result is bit for bit that of a full run.
    batch: windows that are predicted together.
    Overlapping predictions are averaged with equal weight (MagicAnimate, arXiv:2311.16498, section 3.4).
    Raises FloatingPointError if a prediction is not finite; `latents` as `on_step` last saw them are sound.
    """
    frames, steps = len(latents), len(solver.timesteps)
    chosen = frozenset(range(frames)) if active is None else frozenset(active)
    still = sorted(set(range(frames)) - chosen)
    if still and kept is None:
        raise ValueError("frames that are not computed need latents to follow")
    follow(latents, kept, start if chosen else steps, still)
    running = touching(windows, chosen)
    rounds = plan_rounds(running, chosen, batch, solver)
    holding = Counter(frame for window in running for frame in window)
    aside = [frame for frame in still if frame not in holding]
    clean = torch.empty(len(watched), *latents.shape[1:])
    for step in range(start, steps) if chosen else ():
        sums: dict[int, Tensor] = {}
        for number, each in enumerate(rounds, 1):
            completed = None
            together = torch.cat([latents[list(window)] for window in each.windows])
            predicted = predict(step, each.windows, together)
            if not predicted.isfinite().all():
                raise FloatingPointError(f"the noise predicted in step {step + 1} is not finite")
            for window, noises in zip(each.windows, predicted.chunk(len(each.windows)), strict=True):
                for frame, noise in zip(window, noises, strict=True):
                    sums[frame] = sums[frame] + noise if frame in sums else noise.clone()
            if each.moved:
                noise = torch.stack([sums[frame] / holding[frame] for frame in each.moved])
                sample = latents[each.moved]
                rows = {frame: row for row, frame in enumerate(each.moved)}
                for n, frame in enumerate(watched):
                    if frame in rows:
                        row = rows[frame]
                        clean[n] = estimate_clean(solver, step, sample[row], noise[row])
                middle = len(each.moved) // 2
                completed = estimate_clean(solver, step, sample[middle], noise[middle])[None]
                moved = each.solver.step(noise, solver.timesteps[step], sample, return_dict=False)[0]
                latents[each.moved] = moved
            follow(latents, kept, step + 1, each.followed)
            for frame in (*each.moved, *each.followed):
                del sums[frame]
            if number < len(rounds):
                on_round(step, number / len(rounds), completed)
        follow(latents, kept, step + 1, aside)
        on_step(step + 1, latents, clean)
    return latents


FOLLOW_AT_ONCE = 16
"""Frames that are read together, so that a long clip takes no memory."""


def follow(latents: Tensor, kept: KeptLatents | None, step: int, frames: Sequence[int]) -> None:
    """Give `frames` of `latents`, which are not computed, the values of the earlier run before `step`."""
    for first in range(0, len(frames) if kept else 0, FOLLOW_AT_ONCE):
        some = list(frames[first : first + FOLLOW_AT_ONCE])
        latents[some] = kept.at(step, some)
