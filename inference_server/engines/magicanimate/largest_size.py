"""What a run takes of the memory, estimated before anything is loaded, and the largest size that fits."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from inference_server.engines.device import free_memory
from inference_server.engines.magicanimate.loader import Tree
from inference_server.engines.magicanimate.placement import plan_bytes, working_bytes
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
        networks, itemsize = self.tree.networks, self.dtype.itemsize
        sizes = {name: sum(p.numel() for p in network.parameters()) * itemsize for name, network in networks.items()}
        area, channels = width * height // self.unit**2, self.config("unet").block_out_channels[0]
        working = working_bytes(
            frames=min(frames, window),
            area=area,
            pixels=width * height,
            width=channels,
            vae_width=self.config("vae").block_out_channels[0],
            itemsize=itemsize,
        )
        token = area * channels * itemsize
        clip = frames * (width * height + 4 * area * torch.float32.itemsize * 4)  # part maps; latents, noise, a copy
        kept = min(KEPT, frames * token) + min(KEPT, int(steps * REFERENCE_WIDTHS * token))
        host = sum(sizes.values()) + clip + kept + SPARE
        if self.device.type == "cpu":
            return Estimate(0, host + max(working.window, working.decode))
        return Estimate(min(plan_bytes(sizes, working).values()), host)

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
        best = largest(width, height, unit, fits)
        raise UserError(
            f"{width} x {height} with {run['frames']} frames takes about {about / 1e9:.1f} GB of memory, and "
            f"{(short_of or 0) / 1e9:.1f} GB are free",
            fix=f"The largest size of this shape that fits is {best[0]} x {best[1]}."
            if best
            else "Not even the smallest size fits: close other programs, or compute on another machine.",
            code="size-too-large",
        )


def largest(width: int, height: int, unit: int, fits: Callable[[int, int], bool]) -> tuple[int, int] | None:
    """The largest size of about this shape, in multiples of `unit`, that `fits`; None if there is none."""

    def scaled(longer: int) -> tuple[int, int]:
        shorter = max(1, round(longer * min(width, height) / max(width, height)))
        return (longer * unit, shorter * unit) if width >= height else (shorter * unit, longer * unit)

    low, high = 0, max(width, height) // unit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(*scaled(middle)) else (low, middle - 1)
    return scaled(low) if low else None


def available_memory() -> int | None:
    """Bytes of the computer's memory that programs can still take, as far as the system tells; at most a container's
    limit."""
    found = [n for n in (_linux_available(), _container_limit()) if n is not None]
    if found:
        return min(found)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def _linux_available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return None


def _container_limit() -> int | None:
    try:
        return int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no container, or one without a limit
        return None
