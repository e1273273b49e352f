"""Which network is on the device when: everything, only what is in use, or one layer at a time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from diffusers.hooks import apply_group_offloading
from torch import nn

Plan = Literal["resident", "after-use", "unet-alone", "sequential"]
PLANS: tuple[Plan, ...] = ("resident", "after-use", "unet-alone", "sequential")

# Networks that leave the device when they are not running, per plan.
LEAVING: dict[Plan, frozenset[str]] = {
    "resident": frozenset(),
    "after-use": frozenset({"text_encoder", "vae", "appearance"}),
    "unet-alone": frozenset({"text_encoder", "vae", "appearance", "controlnet"}),
    "sequential": frozenset({"text_encoder", "vae", "appearance", "controlnet"}),
}


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
            elif name not in LEAVING[self.plan] and next(network.parameters()).device.type != self.device.type:
                network.to(self.device)

    @contextmanager
    def using(self, name: str) -> Iterator[nn.Module]:
        """The network, on the device inside the block."""
        network = self.networks[name]
        leaves = name in LEAVING[self.plan] and self.device.type != "cpu"
        if leaves:
            network.to(self.device)
        try:
            yield network
        finally:
            if leaves:
                network.to("cpu")


def choose_plan(networks: Mapping[str, nn.Module], free_bytes: int | None, low_memory: bool = False) -> Plan:
    """The fastest plan whose weights fit in `free_bytes` beside the working memory of a window.

    Working memory is taken as the UNet's weights once more (a window of 16 frames at 512 x 512 in half precision).
    free_bytes: of the device; None for the CPU, where all weights are in one memory anyway. `low_memory` goes one
    plan further down, for a second try after the device ran full.
    """
    if free_bytes is None:
        return "resident"
    sizes = {name: sum(p.nbytes for p in network.parameters()) for name, network in networks.items()}
    needs: list[tuple[Plan, int]] = [
        ("resident", sum(sizes.values())),
        ("after-use", sizes["unet"] + sizes["controlnet"]),
        ("unet-alone", max(sizes["unet"], sizes["controlnet"])),
    ]
    working = sizes["unet"]
    fitting = [plan for plan, need in needs if need + working <= free_bytes]
    plan: Plan = fitting[0] if fitting else "sequential"
    return PLANS[min(PLANS.index(plan) + 1, len(PLANS) - 1)] if low_memory else plan
