"""First stage: the autoencoder that turns pictures into latents an eighth their size."""

from collections.abc import Iterator

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional as F

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


def to_tensor(pictures: np.ndarray) -> Tensor:
    """uint8 (N, H, W, 3) -> float (N, 3, H, W) in -1..1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def permute_colours(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same pictures with the colour channels exchanged: six wardrobes for the price of one."""
    return np.ascontiguousarray(pictures[..., rng.permutation(3)])


def batches(pool: ClipPool, start: int, crops_until: int | None, ready: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Pictures (N, 3, S, S) and person masks (N, 1, S, S); crops centred on the person at first."""
    step = start
    while True:
        rng = np.random.default_rng([11, step])
        crops = crops_until is None or step < crops_until
        pictures, masks = [], []
        for _ in range(CROPS if crops else PICTURES):
            clip = pool[int(rng.integers(ready))]
            k = int(rng.integers(len(clip.frames)))
            picture, mask = permute_colours(clip.frames[k], rng), clip.parts[k] > 0
            if crops:
                ys, xs = np.nonzero(mask)
                i = int(rng.integers(len(ys)))
                limit = pool.size - CROP
                y, x = (int(np.clip(c - rng.integers(CROP), 0, limit)) for c in (ys[i], xs[i]))
                picture, mask = picture[y : y + CROP, x : x + CROP], mask[y : y + CROP, x : x + CROP]
            pictures.append(picture)
            masks.append(mask)
        yield to_tensor(np.stack(pictures)), torch.from_numpy(np.stack(masks))[:, None].float()
        step += 1


def loss(vae: AutoencoderKL, batch: tuple[Tensor, Tensor], precision: torch.dtype) -> dict[str, Tensor]:
    """L1 + 2 MSE, the person weighing more than the wall, and a small KL term per latent value."""
    pictures, person = batch
    device = vae.device.type
    with torch.autocast(device, precision, enabled=precision != torch.float32):
        posterior = vae.encode(pictures).latent_dist
        decoded = vae.decode(posterior.sample()).sample.float()
    weight = 1 + (PERSON_WEIGHT - 1) * person
    weight = weight / weight.mean()
    error = decoded - pictures
    reconstruction = (weight * (error.abs() + 2 * error.square())).mean()
    kl = posterior.kl().float().mean() / posterior.mean[0].numel()
    return {"loss": reconstruction + KL_WEIGHT * kl, "kl": kl, "mse": F.mse_loss(decoded, pictures)}


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
