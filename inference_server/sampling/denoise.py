"""The denoising loop: windows predict noise, overlaps are averaged, the solver steps the whole clip."""

from collections.abc import Callable, Collection, Sequence
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


@torch.no_grad()
def denoise(
    latents: Tensor,
    solver: Solver,
    windows: Sequence[Window],
    predict: Predict,
    *,
    on_step: Callable[[int, Tensor, Tensor], None],
    start: int = 0,
    active: Collection[int] | None = None,
    kept: KeptLatents | None = None,
    batch: int = 1,
) -> Tensor:
    """Run the solver from step `start` on and return the final latents.

    latents: (F, C, h, w), float32 on the CPU; the clip lives there and only windows travel to the device.
    on_step: called after every step with (steps done, latents, estimate of the clean latents); may raise to cancel.
    active, kept: compute only these frames, each in at least one of `windows`. Windows without one do not run; in the
        others the remaining frames follow `kept`. With every frame active and all windows of the plan given the
        result is bit for bit that of a full run.
    batch: windows that are predicted together.
    Overlapping predictions are averaged with equal weight (MagicAnimate, arXiv:2311.16498, section 3.4).
    """
    frames = len(latents)
    chosen = frozenset(range(frames)) if active is None else frozenset(active)
    still = sorted(set(range(frames)) - chosen)
    if still and kept is None:
        raise ValueError("frames that are not computed need latents to follow")
    steps = len(solver.timesteps)
    if not chosen:
        assert kept is not None
        return kept.at(steps, still)
    latents = follow(latents, kept, start, still)
    running = touching(windows, chosen)
    for step in range(start, steps):
        total = torch.zeros_like(latents)
        count = torch.zeros(frames, 1, 1, 1)
        for first in range(0, len(running), batch):
            together = running[first : first + batch]
            predicted = predict(step, together, torch.cat([latents[list(window)] for window in together]))
            for window, noise in zip(together, predicted.chunk(len(together)), strict=True):
                total[list(window)] += noise
                count[list(window)] += 1
        noise = total / count.clamp(min=1)
        clean = estimate_clean(solver, step, latents, noise)
        latents = solver.step(noise, solver.timesteps[step], latents, return_dict=False)[0]
        latents = follow(latents, kept, step + 1, still)
        on_step(step + 1, latents, clean)
    return latents


def follow(latents: Tensor, kept: KeptLatents | None, step: int, still: Sequence[int]) -> Tensor:
    """`latents` with the frames that are not computed as they were in the earlier run before `step`."""
    if kept is None or not still:
        return latents
    latents = latents.clone()
    latents[list(still)] = kept.at(step, still)
    return latents
