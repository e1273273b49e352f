"""The forward process that training inverts: MagicAnimate's noise schedule and the weight of each timestep."""

import torch
from diffusers import DDIMScheduler
from torch import Tensor

TRAIN_STEPS = 1000
MAX_WEIGHT = 8.0
FROM_NOISE = 950  # timesteps from here on are trained from pure noise


def scheduler() -> DDIMScheduler:
    """The schedule that MagicAnimate samples with: linear betas (not Stable Diffusion's), epsilon, no clipping."""
    return DDIMScheduler(
        num_train_timesteps=TRAIN_STEPS,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="linear",
        clip_sample=False,
        steps_offset=1,
    )


def stratified_timesteps(count: int, generator: torch.Generator) -> Tensor:
    """(count,) one uniform draw from each of `count` equal slices of the schedule: steadier than plain draws."""
    slices = torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)
    return (slices * TRAIN_STEPS / count).long()


def timestep_weight(alphas_cumprod: Tensor, timesteps: Tensor) -> Tensor:
    """min(MAX_WEIGHT, SNR^-1/2): small errors of the noise are large ones of the picture where the signal is weak.

    Between epsilon prediction (1) and prediction of the clean picture (SNR^-1); see Hang et al. 2023, Min-SNR.
    """
    alpha = alphas_cumprod[timesteps]
    return ((1 - alpha) / alpha).sqrt().clamp(max=MAX_WEIGHT)


def add_noise(latents: Tensor, noise: Tensor, alpha: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """Noisy latents and the noise to predict, each (rows, C, h, w); alpha and timesteps (rows,).

    Sampling starts in pure noise, but the schedule's last steps still let some of the picture through, its mean colours
    above all, and a network that relies on them paints walls in the noise's colours. So from timestep FROM_NOISE on
    the input is pure noise, and the target what leads from it to the picture. (Lin et al. 2024, "Common Diffusion Noise
    Schedules and Sample Steps are Flawed", mend the same by another schedule, which would not be the published one.)
    """
    signal, sigma = (v.sqrt()[:, None, None, None] for v in (alpha, 1 - alpha))
    pure = (timesteps >= FROM_NOISE)[:, None, None, None]
    noisy = torch.where(pure, noise, signal * latents + sigma * noise)
    return noisy, (noisy - signal * latents) / sigma
