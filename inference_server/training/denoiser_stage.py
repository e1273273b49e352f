"""Second and third stage: the denoiser, first on pairs of single pictures, then on clips with motion modules."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from inference_server.media.labels import PALETTE
from inference_server.sampling.noise import mix_noise
from inference_server.training.characters import Clip
from inference_server.training.diffusion import add_noise, scheduler, stratified_timesteps, timestep_weight
from inference_server.training.networks import Denoiser
from inference_server.training.reading import reading_loss, recorded_queries
from inference_server.training.vae_stage import permute_colours, to_tensor

DROPPED_REFERENCES = 0.13  # share of clips that learn to do without, for classifier-free guidance
FRONT_REFERENCES = 0.5  # share of references that are front views; the others are any frame of the clip
PERSON_WEIGHT = 2.0  # of a latent cell full of person, against one of wall
SHARED_NOISE = 0.75  # share of the noise that a clip's frames have in common; see sampling.noise.mix_noise
STEADINESS = 1.0  # weight of errors that change from frame to frame, beside the errors themselves


@dataclass(frozen=True)
class DenoiserBatch:
    """pictures (C, F, 3, S, S), references (C, 3, S, S) in -1..1; labels. The first `dropped` clips go without."""

    pictures: Tensor
    parts: Tensor
    references: Tensor
    reference_parts: Tensor
    dropped: int
    seed: int


class Clips(Protocol):
    """Numbered clips to draw batches from."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> Clip: ...


def batches(
    pool: Clips,
    start: int,
    *,
    shapes: Sequence[tuple[int, int]],
    consecutive: bool,
    stream: int,
    new_colours: bool = True,
) -> Iterator[DenoiserBatch]:
    """Endless batches; number n is the same in every run.

    shapes: (clips, frames per clip) to draw from; frames are evenly spaced, as far apart as the clip allows, or any
    (`consecutive` off), and fewer if a clip is shorter.
    new_colours: exchange the colour channels of each clip at random.
    """
    for number in itertools.count(start):
        rng = np.random.default_rng([stream, number])
        clips, wanted = shapes[int(rng.integers(len(shapes)))]
        chosen = [pool[int(rng.integers(len(pool)))] for _ in range(clips)]
        length = min(wanted, *(len(clip.frames) for clip in chosen))
        rows = []
        for clip in chosen:
            total = len(clip.frames)
            if consecutive:
                stride = int(rng.integers(1, max(1, (total - 1) // max(1, length - 1)) + 1))
                shown = np.arange(length) * stride + rng.integers(total - (length - 1) * stride)
            else:
                shown = rng.choice(total, length, replace=False)
            front = rng.uniform() < FRONT_REFERENCES
            references, labels = (clip.references, clip.reference_parts) if front else (clip.frames, clip.parts)
            k = int(rng.integers(len(references)))
            pictures = np.concatenate([clip.frames[shown], references[k : k + 1]])
            if new_colours:
                pictures = permute_colours(pictures, rng)
            rows.append((pictures[:-1], clip.parts[shown], pictures[-1], labels[k]))
        pictures, parts, references, labels = (np.stack(column) for column in zip(*rows, strict=True))
        yield DenoiserBatch(
            pictures=to_tensor(pictures.reshape(-1, *pictures.shape[2:])).unflatten(0, (clips, length)),
            parts=torch.from_numpy(parts),
            references=to_tensor(references),
            reference_parts=torch.from_numpy(labels),
            dropped=int((rng.uniform(size=clips) < DROPPED_REFERENCES).sum()),
            seed=int(rng.integers(2**62)),
        )


def hints_of(parts: Tensor) -> Tensor:
    """Labels (N, S, S) -> the ControlNet's condition (N, 3, S, S), DensePose colours in 0..1."""
    palette = torch.from_numpy(PALETTE).to(parts.device).float() / 255
    return palette[parts.long()].permute(0, 3, 1, 2)


class DenoiserLoss:
    """Noise prediction error in the latents of a frozen autoencoder, and where the reference is read."""

    def __init__(
        self, denoiser: Denoiser, vae: AutoencoderKL, precision: torch.dtype, *, coupled: bool, reading_weight: float
    ) -> None:
        """`coupled`: see Denoiser.forward; off for the image stage, on for the motion stage."""
        self.denoiser = denoiser
        self.vae = vae
        self.precision = precision
        self.coupled = coupled
        self.reading_weight = reading_weight
        self.device = next(denoiser.parameters()).device
        self.alphas_cumprod = scheduler().alphas_cumprod.to(self.device)

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        return self.vae.encode(pictures.to(self.device)).latent_dist.mean.float() * self.vae.config.scaling_factor

    def __call__(self, batch: DenoiserBatch) -> dict[str, Tensor]:
        clips, frames = batch.parts.shape[:2]
        generator = torch.Generator().manual_seed(batch.seed)
        timesteps = stratified_timesteps(clips, generator).to(self.device)
        parts, reference_parts = batch.parts.to(self.device), batch.reference_parts[batch.dropped :].to(self.device)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            latents = self.encode(batch.pictures.flatten(0, 1))
            references = self.encode(batch.references[batch.dropped :]) if batch.dropped < clips else latents[:0]
            noise = torch.randn(latents.shape, generator=generator)
            if self.coupled:
                common = torch.randn((clips, *latents.shape[1:]), generator=generator)
                noise = mix_noise(noise, common.repeat_interleave(frames, dim=0), SHARED_NOISE)
            noise = noise.to(self.device)
            per_row = timesteps.repeat_interleave(frames)
            noisy, target = add_noise(latents, noise, self.alphas_cumprod[per_row], per_row)
            with recorded_queries(self.denoiser.unet) as queries:
                predicted, bank = self.denoiser(
                    noisy, timesteps, hints_of(parts.flatten(0, 1)), references, frames=frames, coupled=self.coupled
                )
            miss = predicted.float() - target  # clips * frames, C, h, w
            error = miss.square().mean(1)
            terms = {"noise": error.mean()}
            weight = self.cell_weight(parts, error)
            total = (weight * error).mean((1, 2)).unflatten(0, (clips, frames)).mean(1)
            if self.coupled and frames > 1:
                change = miss.unflatten(0, (clips, frames)).diff(dim=1).square().mean(2) / 2
                between = weight.unflatten(0, (clips, frames))[:, 1:]
                terms["flicker"] = change.mean()
                total = total + STEADINESS * (between * change).mean((1, 2, 3))
            terms["loss"] = (timestep_weight(self.alphas_cumprod, timesteps) * total).mean()
            if len(references):
                terms["reading"] = reading_loss(
                    self.denoiser.unet, queries, bank, parts[batch.dropped :], reference_parts
                )
                terms["loss"] = terms["loss"] + self.reading_weight * terms["reading"]
        return terms

    def cell_weight(self, parts: Tensor, like: Tensor) -> Tensor:
        person = (parts.flatten(0, 1) > 0).float()[:, None]
        weight = 1 + (PERSON_WEIGHT - 1) * torch.nn.functional.adaptive_avg_pool2d(person, like.shape[-1])[:, 0]
        return weight / weight.mean((1, 2), keepdim=True)
