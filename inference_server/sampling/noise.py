"""Starting noise of a clip."""

import torch
from torch import Tensor


def starting_noise(seed: int, frames: int, shape: tuple[int, int, int], *, tile: int = 16) -> Tensor:
    """Standard normal latents (frames, channels, height, width), float32 on the CPU, the same on every machine.

    As published, one draw of `tile` frames repeats along the clip: frame k and k + tile start alike, and the first
    frames of a clip do not depend on its length. tile = 0 draws every frame on its own.
    """
    channels, height, width = shape
    generator = torch.Generator("cpu").manual_seed(seed)
    drawn = torch.randn((1, channels, tile or frames, height, width), generator=generator)
    clip = drawn[0].transpose(0, 1)
    return clip.repeat(-(-frames // len(clip)), 1, 1, 1)[:frames].contiguous()
