"""Which network is on the device when: everything, only what is in use, or one layer at a time."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from diffusers.hooks import apply_group_offloading
from torch import nn

from inference_server.models.attention import AttentionBackend
from inference_server.models.feed_forward import PIECE_TOKENS

log = logging.getLogger(__name__)

Plan = Literal["resident", "after-use", "unet-alone", "sequential"]
PLANS: tuple[Plan, ...] = ("resident", "after-use", "unet-alone", "sequential")

# Networks that leave the device when they are not running, per plan.
LEAVING: dict[Plan, frozenset[str]] = {
    "resident": frozenset(),
    "after-use": frozenset({"text_encoder", "vae", "appearance"}),
    "unet-alone": frozenset({"text_encoder", "vae", "appearance", "controlnet"}),
    "sequential": frozenset({"text_encoder", "vae", "appearance", "controlnet"}),
}

HEADS = 8
"""Of every spatial attention."""

WIDEST = 3
"""Widths of the largest tensor at full size: a skip beside what comes from below, in the last up block."""

MOST_NUMBERS = 2**31 - 1
"""In one tensor: kernels count in 32 bits."""

WINDOW_FEATURE_MAPS = 37
"""Feature maps of the first block's width and size that live at once while a window is predicted, counted."""

FEED_FORWARD_WIDTH = 16
"""Widths of a token that live inside a feed-forward at once: eight before its gate, four of the gate, four after."""

DECODE_FEATURE_MAPS = 6
"""Feature maps of the decoder's first width at full size that live at once while a frame is decoded, counted."""


@dataclass
class Placement:
    """Moves networks by a plan.

    resident: all on the device. after-use: text encoder, VAE and appearance encoder leave it when done.
    unet-alone: the ControlNet too, between windows. sequential: the UNet's weights come one layer at a time.
    """

    networks: Mapping[str, nn.Module]
    device: torch.device
    plan: Plan = "resident"

    def __post_init__(self) -> None:
        for name, network in self.networks.items():
            if name == "unet" and self.plan == "sequential" and self.device.type != "cpu":
                apply_group_offloading(
                    network,
                    onload_device=self.device,
                    offload_device=torch.device("cpu"),
                    offload_type="leaf_level",
                )
                continue
            home = self.device if self.stays(name) else torch.device("cpu")
            if next(network.parameters()).device.type != home.type:
                network.to(home)
            if self.device.type == "cuda" and not self.stays(name):
                pin(network)

    def stays(self, name: str) -> bool:
        """Whether the network's weights lie where they are for good."""
        streamed = name == "unet" and self.plan == "sequential"
        return self.device.type == "cpu" or not (streamed or name in LEAVING[self.plan])

    @contextmanager
    def using(self, name: str) -> Iterator[nn.Module]:
        """The network, on the device inside the block."""
        network = self.networks[name]
        leaves = name in LEAVING[self.plan] and self.device.type != "cpu"
        if not leaves:
            yield network
            return
        at_home = list(tensors_of(network))
        network.to(self.device, non_blocking=True)  # pinned weights travel at the bus's speed, others as ever
        try:
            yield network
        finally:
            for held, name, x, data in at_home:  # nothing has changed them, so nothing travels back
                x.data, held[name] = data, x


def pin(network: nn.Module) -> None:
    """Lay a network's weights into page-locked memory, which is read three times as fast; as far as there is some."""
    try:
        for _, _, x, data in tensors_of(network):
            x.data = data if data.is_pinned() else data.pin_memory()
    except RuntimeError as error:
        log.warning("weights are not page-locked: %s", str(error).partition("\n")[0])


def tensors_of(network: nn.Module) -> Iterator[tuple[dict[str, Any], str, torch.Tensor, torch.Tensor]]:
    """Where each parameter and buffer is held, its name there, itself and the memory that it has now."""
    for module in network.modules():
        for held in (module._parameters, module._buffers):
            for name, x in held.items():
                if x is not None:
                    yield held, name, x, x.data


@dataclass(frozen=True)
class Working:
    """Bytes that a run takes on the device beside the weights.

    largest: numbers in the largest tensor of one window.
    """

    window: int
    decode: int
    largest: int = 1


def sizes_of(networks: Mapping[str, nn.Module]) -> dict[str, int]:
    """Bytes of each network's weights."""
    return {name: sum(p.nbytes for p in network.parameters()) for name, network in networks.items()}


def working_bytes(
    *,
    frames: int,
    area: int,
    pixels: int,
    width: int,
    vae_width: int,
    itemsize: int,
    windows: int = 1,
    decoded: int = 1,
    attention: AttentionBackend = AttentionBackend(),  # noqa: B008  frozen
) -> Working:
    """A quarter more than was counted on fake tensors at 512 x 512; fused attention kernels add nothing that grows.

    frames: of a window. area, pixels: of a frame's latents and of the output. width, vae_width: channels of the first
    blocks. itemsize: bytes per number. windows, decoded: windows and frames that run together. attention: is asked what
    it takes for the widest block, whose conditional half attends to the reference, too, and for the VAE's middle.
    """
    feature_map = frames * area * width * itemsize
    feed_forward = PIECE_TOKENS * FEED_FORWARD_WIDTH * width * itemsize
    return Working(
        window=WINDOW_FEATURE_MAPS * feature_map * windows
        + feed_forward
        + attention.working_bytes(frames * windows, HEADS, area, 2 * area),
        decode=DECODE_FEATURE_MAPS * decoded * pixels * vae_width * itemsize
        + attention.working_bytes(decoded, 1, area, area),
        largest=2 * frames * area * WIDEST * width,
    )


def plan_bytes(sizes: Mapping[str, int], working: Working) -> dict[Plan, int]:
    """The most that each plan takes of the device. sizes: bytes of the networks' weights by name."""
    needs: dict[Plan, int] = {}
    for plan, leaving in LEAVING.items():
        at_home = {name: sizes[name] for name in leaving}
        staying = sum(sizes.values()) - sum(at_home.values())
        if plan == "sequential":
            staying -= sizes["unet"]
        needs[plan] = staying + max(
            working.window,
            working.decode + at_home.get("vae", 0),
            working.window // 2 + at_home.get("controlnet", 0),  # its down blocks alone, for one guidance half
            *at_home.values(),
        )
    return needs


def choose_plan(needs: Mapping[Plan, int], free: int | None, low_memory: bool = False) -> Plan:
    """The fastest plan that the device has room for.

    needs: of `plan_bytes`. free: bytes of the device; None for the CPU, where all weights are in one memory anyway.
    To keep all networks there is a luxury, for which half must stay free: Blender draws on the same device.
    low_memory: one plan further down, for a second try after the device ran full.
    """
    if free is None:
        return "resident"
    fits = {plan: need <= (free // 2 if plan == "resident" else free) for plan, need in needs.items()}
    plan: Plan = next((plan for plan in PLANS if fits[plan]), "sequential")
    return PLANS[min(PLANS.index(plan) + 1, len(PLANS) - 1)] if low_memory else plan


def windows_at_once(windows: int, free: int | None, working: Working) -> int:
    """How many of a step's windows go through the networks together: what half of the free memory holds.

    And no more than kernels can count. free: bytes beside the weights; None for the CPU, which gains nothing by it.
    working: of one window.
    """
    if free is None:
        return 1
    return max(1, min(windows, free // 2 // working.window, MOST_NUMBERS // working.largest))


def lower_plan(plan: Plan, needs: Mapping[Plan, int], free: int) -> Plan | None:
    """The first plan from `plan` downwards that fits into `free` bytes, None if none does."""
    return next((each for each in PLANS[PLANS.index(plan) :] if needs[each] <= free), None)
