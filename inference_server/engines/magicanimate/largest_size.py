"""What a run takes of the memory, estimated before anything is loaded, and the largest size that fits."""

from dataclasses import dataclass
from typing import Any

import torch

from inference_server.engines.device import attention_backend, available_memory, free_memory
from inference_server.engines.magicanimate.loader import Tree
from inference_server.engines.magicanimate.room import Footprint, largest_size
from inference_server.errors import UserError

KEPT = 2**30
"""Bytes up to which pose hints are kept, and reference tokens."""

REFERENCE_WIDTHS = 5.3
"""Widths of the first block that the reference tokens of a timestep hold per latent, over all blocks that read them."""

SPARE = 512 * 2**20
"""Bytes for Python, its libraries and the pictures in hand."""


@dataclass(frozen=True)
class Estimate:
    """Of one run. device: bytes on an accelerator, 0 for the CPU. host: bytes of the computer's memory."""

    device: int
    host: int


@dataclass(frozen=True)
class Room:
    """Estimates runs of a checked tree, of which no tensor has been read."""

    tree: Tree
    device: torch.device
    dtype: torch.dtype

    def config(self, network: str) -> Any:
        return self.tree.networks[network].config

    @property
    def unit(self) -> int:
        """Pixels per latent: sizes are multiples of it."""
        return int(2 ** (len(self.config("vae").block_out_channels) - 1))

    @property
    def default_size(self) -> tuple[int, int]:
        """Width, height in pixels that the weights were made for."""
        side = int(self.config("unet").sample_size) * self.unit
        return side, side

    def estimate(self, width: int, height: int, *, frames: int, window: int, steps: int) -> Estimate:
        """frames: of the clip. window: frames that are computed together."""
        attention = attention_backend("auto", self.device, self.dtype)
        footprint = Footprint.of(self.tree.networks, self.device, self.dtype, attention)
        area, channels, itemsize = width * height // self.unit**2, footprint.width, footprint.itemsize
        token = area * channels * itemsize
        clip = frames * (width * height + 4 * area * torch.float32.itemsize * 4)  # part maps; latents, noise, a copy
        kept = min(KEPT, frames * token) + min(KEPT, int(steps * REFERENCE_WIDTHS * token))
        host = sum(footprint.sizes.values()) + clip + kept + SPARE
        if self.device.type == "cpu":
            return Estimate(0, host + footprint.computing(width, height, min(frames, window)))
        return Estimate(footprint.least(width, height, min(frames, window)), host)

    def check(self, width: int, height: int, **run: int) -> None:
        """Raises UserError `size-multiple`, or `size-too-large` naming the largest size of this shape that fits."""
        unit = self.unit
        if width % unit or height % unit:
            nearest = " x ".join(str(max(unit, round(side / unit) * unit)) for side in (width, height))
            raise UserError(
                f"{width} x {height} is no size for these weights",
                fix=f"Use multiples of {unit}, for example {nearest}.",
                code="size-multiple",
            )
        device, host = free_memory(self.device), available_memory()

        def fits(width: int, height: int) -> bool:
            need = self.estimate(width, height, **run)
            return need.device <= (device or need.device) and need.host <= (host or need.host)

        if fits(width, height):
            return
        need = self.estimate(width, height, **run)
        short_of = device if device is not None and need.device > device else host
        about = need.device if short_of is device and device is not None else need.host
        best = largest_size(width, height, fits, unit)
        raise UserError(
            f"{width} x {height} with {run['frames']} frames takes about {about / 1e9:.1f} GB of memory, and "
            f"{(short_of or 0) / 1e9:.1f} GB are free",
            fix=f"The largest size of this shape that fits is {best[0]} x {best[1]}."
            if best
            else "Not even the smallest size fits: close other programs, or compute on another machine.",
            code="size-too-large",
        )
