"""The demo weights' examination: people and motions that no training has seen, and what each part is good for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline
from inference_server.evaluation.clips import EvaluationClip
from inference_server.evaluation.metrics import Pictures
from inference_server.evaluation.person import Labels, region_colours
from inference_server.sampling.windows import plan_windows
from inference_server.training.characters import HELD_OUT_STREAM, Clip, make_clips
from inference_server.training.denoiser_stage import hints_of
from inference_server.training.diffusion import scheduler
from inference_server.training.networks import Denoiser
from inference_server.training.vae_stage import to_tensor

CHARACTERS, FRAMES = 12, 16
TIMESTEP_BINS = (100, 300, 500, 700, 900)
Animate = Callable[[Pictures, Labels], Pictures]
"""(reference (H, W, 3), part maps (F, H, W)) -> frames (F, H, W, 3)."""


def characters(count: int = CHARACTERS, frames: int = FRAMES, *, size: int = 128) -> list[Clip]:
    """Held-out clips; the first ones are always the same."""
    return [make_clips(HELD_OUT_STREAM, number, size=size, frames=frames)[0] for number in range(count)]


def animator(pipeline: MagicAnimatePipeline, **settings: Any) -> Animate:
    """The product's own pipeline with settings."""
    return lambda reference, parts: np.asarray(pipeline(reference, parts, **settings))


def animate_all(clips: list[Clip], animate: Animate, borders: tuple[int, ...] = ()) -> Iterator[EvaluationClip]:
    """Every character by its own map and reference, one after the other."""
    for number, clip in enumerate(clips):
        yield EvaluationClip(
            name=f"character_{number:02d}",
            reference=clip.references[0],
            reference_parts=clip.reference_parts[0],
            parts=clip.parts,
            truth=clip.frames,
            output=animate(clip.references[0], clip.parts),
            borders=borders,
        )


def window_borders(frames: int, context_frames: int, context_overlap: int) -> tuple[int, ...]:
    """Frames at which a window of the open plan begins or the one before has ended."""
    windows = plan_windows(frames, context_frames, context_overlap, "open")
    edges = {min(w) for w in windows} | {max(w) + 1 for w in windows}
    return tuple(sorted(edge for edge in edges if 0 < edge < frames))


@dataclass(frozen=True)
class SwapResult:
    """A region of one output, drawn once with its own and once with another person's reference."""

    region: str
    moved_to_new: bool
    """The second output's colour is nearer to the new reference's than the first output's is."""


def swap_references(clips: list[Clip], animate: Animate, outputs: list[Pictures]) -> list[SwapResult]:
    """Animate every character's map with the next one's reference; where the clothes differ, do their colours follow?

    `outputs`: of the same maps with their own references. Regions whose two references differ by less than 0.1 are no
    question.
    """
    results = []
    for number, clip in enumerate(clips):
        other = clips[(number + 1) % len(clips)]
        swapped = animate(other.references[0], clip.parts)
        own_colours, new_colours = (region_colours(c.references[:1], c.reference_parts[:1]) for c in (clip, other))
        before, after = region_colours(outputs[number], clip.parts), region_colours(swapped, clip.parts)
        for region in ("torso", "upper legs"):
            if all(region in colours for colours in (own_colours, new_colours, before)):
                target = new_colours[region]
                if np.abs(own_colours[region] - target).mean() >= 0.1:
                    moved = np.abs(after[region] - target).mean() < np.abs(before[region] - target).mean()
                    results.append(SwapResult(region, bool(moved)))
    return results


@dataclass(frozen=True)
class NoiseBin:
    """Mean squared error of predicted noise at one timestep, with inputs right and with one of them wrong."""

    timestep: int
    right: float
    wrong_map: float
    wrong_reference: float
    no_reference: float


@torch.no_grad()
def noise_bins(pipeline: MagicAnimatePipeline, clips: list[Clip]) -> list[NoiseBin]:
    """Does each condition help to tell the noise, at every noise level? Same noise for all four cases.

    Wrong map: the same person's map of half a clip later. Wrong reference: the next person's.
    """
    networks = pipeline.networks
    denoiser = Denoiser(networks.unet, networks.appearance, networks.controlnet, pipeline.text()).eval()
    scale = networks.vae.config.scaling_factor
    alphas = scheduler().alphas_cumprod
    latents = [networks.vae.encode(to_tensor(c.frames)).latent_dist.mean * scale for c in clips]
    references = [networks.vae.encode(to_tensor(c.references[:1])).latent_dist.mean * scale for c in clips]
    bins = []
    for timestep in TIMESTEP_BINS:
        alpha = alphas[timestep]
        errors: NDArray[np.float64] = np.zeros(4)
        for number, clip in enumerate(clips):
            generator = torch.Generator().manual_seed(number)
            noise = torch.randn(latents[number].shape, generator=generator)
            noisy = alpha.sqrt() * latents[number] + (1 - alpha).sqrt() * noise
            hints = hints_of(torch.from_numpy(clip.parts))
            other, none = references[(number + 1) % len(clips)], references[number][:0]
            cases = (
                (hints, references[number]),
                (hints.roll(len(hints) // 2, 0), references[number]),
                (hints, other),
                (hints, none),
            )
            for k, (hint, reference) in enumerate(cases):
                predicted, _ = denoiser(
                    noisy, torch.tensor([timestep]), hint, reference, frames=len(noisy), coupled=True
                )
                errors[k] += float((predicted - noise).square().mean()) / len(clips)
        bins.append(NoiseBin(timestep, *map(float, errors)))
    return bins


def load(weights: Path) -> MagicAnimatePipeline:
    """The pipeline on the CPU in float32, so that figures repeat."""
    return MagicAnimatePipeline.from_folder(weights, device="cpu", dtype="fp32")
