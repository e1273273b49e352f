"""Starting noise of a clip."""

import math

import torch
from torch import Tensor

NOISE_TILE = 16
"""Frames of noise drawn at once and repeated, as published."""
SHARED_SEED = 0x9E3779B9
"""Makes the seed of what frames have in common another than that of their own noise; the generator heeds 32 bits."""


def starting_noise(
    seed: int, frames: int, shape: tuple[int, int, int], *, tile: int = NOISE_TILE, shared: float = 0.0
) -> Tensor:
    """Standard normal latents (frames, channels, height, width), float32 on the CPU, the same on every machine.

    As published, one draw of `tile` frames repeats along the clip: frame k and k + tile start alike, and the first
    frames of a clip do not depend on its length. tile = 0 draws every frame on its own. `shared`: see `mix_noise`.
    """
    channels, height, width = shape
    generator = torch.Generator("cpu").manual_seed(seed)
    drawn = torch.randn((1, channels, tile or frames, height, width), generator=generator)
    clip = drawn[0].transpose(0, 1)
    own = clip.repeat(-(-frames // len(clip)), 1, 1, 1)[:frames].contiguous()
    if not shared:
        return own
    generator.manual_seed(seed ^ SHARED_SEED)
    return mix_noise(own, torch.randn((1, *shape), generator=generator), shared)


def mix_noise(own: Tensor, common: Tensor, shared: float) -> Tensor:
    """Noise of unit variance of which all frames have the share `shared` in common, 0 (none) to 1 (all the same).

    The more frames have in common, the less a network's errors flicker. Ge et al. 2023, "Preserve Your Own
    Correlation", section 3.2 (mixed noise); shared = a^2 / (1 + a^2) with their a.
    """
    return common * math.sqrt(shared) + own * math.sqrt(1 - shared)
