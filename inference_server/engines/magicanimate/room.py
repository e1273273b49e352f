"""How large a picture may be: an estimate, made before memory is full."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from inference_server.engines.magicanimate.placement import Working, plan_bytes, sizes_of, working_bytes
from inference_server.errors import UserError
from inference_server.models.attention import AttentionBackend

DECODE_BATCH = 4
"""Frames that go through the VAE together on a CUDA device; elsewhere one by one."""

WINDOW_FRAMES = 16
"""Of the published windows, for which an offload plan is chosen before the first job comes."""

SIZE_MULTIPLE = 64


@dataclass(frozen=True)
class Footprint:
    """What networks take. sizes: bytes of their weights by name. scale: pixels per latent in each direction."""

    sizes: Mapping[str, int]
    width: int
    vae_width: int
    scale: int
    itemsize: int
    decoded: int
    attention: AttentionBackend

    @classmethod
    def of(
        cls, networks: Mapping[str, Any], device: torch.device, dtype: torch.dtype, attention: AttentionBackend
    ) -> "Footprint":
        """networks: by name as `Networks.modules`, loaded or empty, to be computed with on `device` in `dtype`."""
        unet, vae = networks["unet"].config, networks["vae"].config
        held = next(networks["unet"].parameters()).dtype.itemsize
        return cls(
            sizes={name: size * dtype.itemsize // held for name, size in sizes_of(networks).items()},
            width=unet.block_out_channels[0],
            vae_width=vae.block_out_channels[0],
            scale=2 ** (len(vae.block_out_channels) - 1),
            itemsize=dtype.itemsize,
            decoded=DECODE_BATCH if device.type == "cuda" else 1,
            attention=attention,
        )

    def working(self, width: int, height: int, frames: int = WINDOW_FRAMES) -> Working:
        """Bytes beside the weights for pictures of width x height pixels in windows of `frames`."""
        return working_bytes(
            frames=frames,
            area=(width // self.scale) * (height // self.scale),
            pixels=width * height,
            width=self.width,
            vae_width=self.vae_width,
            itemsize=self.itemsize,
            decoded=self.decoded,
            attention=self.attention,
        )

    def least(self, width: int, height: int, frames: int = WINDOW_FRAMES) -> int:
        """Bytes of an accelerator that the thriftiest plan takes."""
        return min(plan_bytes(self.sizes, self.working(width, height, frames)).values())

    def computing(self, width: int, height: int, frames: int = WINDOW_FRAMES) -> int:
        """Bytes beside the weights at the worst moment."""
        working = self.working(width, height, frames)
        return max(working.window, working.decode)


def refuse_too_large(width: int, height: int, need: Callable[[int, int], int], free: int) -> None:
    """Raises UserError `too-large` that names the largest size of this shape whose `need(width, height)` is free."""
    if need(width, height) <= free:
        return
    largest = largest_size(width, height, lambda w, h: need(w, h) <= free)
    fix = f"Choose at most {largest[0]} x {largest[1]}" if largest else "Close other programs"
    taken, free_gb = need(width, height) / 1e9, free / 1e9
    raise UserError(
        f"{width} x {height} takes about {taken:.1f} GB of memory, and {free_gb:.1f} GB are free",
        fix=f"{fix}, or use another device.",
        code="too-large",
    )


def largest_size(
    width: int, height: int, fits: Callable[[int, int], bool], multiple: int = SIZE_MULTIPLE
) -> tuple[int, int] | None:
    """The largest size of about this shape, in multiples of `multiple`, that fits; None if not even the least."""

    def scaled(long_side: int) -> tuple[int, int]:
        share = long_side * multiple / max(width, height)
        sides = [max(1, round(side * share / multiple)) * multiple for side in (width, height)]
        return sides[0], sides[1]

    low, high = 0, max(width, height) // multiple
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(*scaled(middle)) else (low, middle - 1)
    return scaled(low) if low else None
