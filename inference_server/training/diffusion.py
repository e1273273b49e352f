"""The forward process that training inverts: MagicAnimate's noise schedule and the weight of each timestep."""

import torch
from diffusers import DDIMScheduler
from torch import Tensor

TRAIN_STEPS = 1000
MAX_WEIGHT = 3.0


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
    """min(3, SNR^-1/2): noise is hard to tell and matters for the picture where the signal is weak.

    Between epsilon prediction (1) and prediction of the clean picture (SNR^-1); see Hang et al. 2023, Min-SNR.
    """
    alpha = alphas_cumprod[timesteps]
    return ((1 - alpha) / alpha).sqrt().clamp(max=MAX_WEIGHT)
