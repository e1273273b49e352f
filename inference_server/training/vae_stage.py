"""First stage: the autoencoder that turns pictures into latents an eighth their size."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from inference_server.training.characters import Clip
from inference_server.training.initial import direct_path_autoencoder
from inference_server.training.pool import ClipPool
from inference_server.training.sizes import VAE

LEARNING_RATE = 2e-3
CROP, CROPS, PICTURES = 64, 8, 3
CROP_SHARE = 0.55  # of the stage is trained on crops, the rest on whole pictures
PERSON_WEIGHT = 3.0
KL_WEIGHT = 2e-4


def new_autoencoder(size: int) -> AutoencoderKL:
    vae = AutoencoderKL(**VAE, sample_size=size)
    direct_path_autoencoder(vae)
    return vae


def to_tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """uint8 (N, H, W, 3) -> float (N, 3, H, W) in -1..1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def permute_colours(pictures: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The same pictures with the colour channels exchanged: six wardrobes for the price of one."""
    return np.ascontiguousarray(pictures[..., rng.permutation(3)])


@dataclass(frozen=True)
class PictureBatch:
    """pictures (N, 3, S, S) in -1..1, person masks (N, 1, S, S), and the seed of the posterior's noise."""

    pictures: Tensor
    person: Tensor
    seed: int


def batches(pool: ClipPool, start: int, progress: Callable[[], float]) -> Iterator[PictureBatch]:
    """Crops that show some of the person at first, whole pictures once `progress` has passed CROP_SHARE."""
    for step in itertools.count(start):
        rng = np.random.default_rng([11, step])
        crop = min(CROP, pool.size) if progress() < CROP_SHARE else pool.size
        pictures, masks = [], []
        for _ in range(CROPS if crop < pool.size else PICTURES):
            clip = pool[int(rng.integers(len(pool)))]
            k = int(rng.integers(len(clip.frames)))
            picture, mask = permute_colours(clip.frames[k], rng), clip.parts[k] > 0
            ys, xs = np.nonzero(mask)
            i = int(rng.integers(len(ys)))
            y, x = (int(np.clip(c - rng.integers(crop), 0, pool.size - crop)) for c in (ys[i], xs[i]))
            pictures.append(picture[y : y + crop, x : x + crop])
            masks.append(mask[y : y + crop, x : x + crop])
        person = torch.from_numpy(np.stack(masks))[:, None].float()
        yield PictureBatch(to_tensor(np.stack(pictures)), person, int(rng.integers(2**62)))


def loss(vae: AutoencoderKL, batch: PictureBatch, precision: torch.dtype) -> dict[str, Tensor]:
    """L1 + 2 MSE, the person weighing more than the wall, and a small KL term per latent value."""
    device = vae.device
    pictures, person = batch.pictures.to(device), batch.person.to(device)
    generator = torch.Generator(device).manual_seed(batch.seed)
    with torch.autocast(device.type, precision, enabled=precision != torch.float32):
        posterior = vae.encode(pictures).latent_dist
        decoded = vae.decode(posterior.sample(generator)).sample.float()
    weight = 1 + (PERSON_WEIGHT - 1) * person
    weight = weight / weight.mean()
    error = decoded - pictures
    reconstruction = (weight * (error.abs() + 2 * error.square())).mean()
    kl = posterior.kl().float().mean() / posterior.mean[0].numel()
    return {"loss": reconstruction + KL_WEIGHT * kl, "kl": kl, "mse": functional.mse_loss(decoded, pictures)}


@torch.no_grad()
def latent_scale(vae: AutoencoderKL, pool: ClipPool, pictures: int = 256) -> float:
    """1 / standard deviation of latents of training pictures: the `scaling_factor` of the config."""
    rng = np.random.default_rng(12)
    latents = []
    for _ in range(pictures // 8):
        clip = pool[int(rng.integers(len(pool)))]
        chosen = clip.frames[rng.choice(len(clip.frames), min(8, len(clip.frames)), replace=False)]
        latents.append(vae.encode(to_tensor(permute_colours(chosen, rng)).to(vae.device)).latent_dist.mean)
    return 1 / float(torch.cat(latents).std())


@torch.no_grad()
def round_trip(vae: AutoencoderKL, clips: list[Clip]) -> tuple[NDArray[np.uint8], float]:
    """Pictures above what the autoencoder makes of them, and the person's PSNR in dB."""
    pictures = np.stack([clip.frames[0] for clip in clips])
    person = np.stack([clip.parts[0] for clip in clips]) > 0
    decoded = vae.decode(vae.encode(to_tensor(pictures).to(vae.device)).latent_dist.mean).sample
    back = ((decoded.float().cpu().permute(0, 2, 3, 1).numpy() + 1) * 127.5).clip(0, 255).round().astype(np.uint8)
    error = np.square((back.astype(np.float64) - pictures) / 255)[person].mean()
    sheet = np.concatenate([np.concatenate(list(pictures), 1), np.concatenate(list(back), 1)])
    return sheet, float(-10 * np.log10(error))
