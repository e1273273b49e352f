"""The published networks' sizes, for building them without their weights: in tests, and to measure speed and memory."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from inference_server.engines.magicanimate.loader import Networks, build_text_encoder, build_vae
from inference_server.models.spec import MAGICANIMATE
from inference_server.models.unet import AppearanceEncoder, PoseControlNet, UNet3D

UNET: dict[str, Any] = {
    "attention_head_dim": 8,
    "cross_attention_dim": 768,
    "block_out_channels": [320, 640, 1280, 1280],
    "sample_size": 64,
}
TEXT: dict[str, Any] = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}
VAE: dict[str, Any] = {
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "latent_channels": 4,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}


class EmptyPrompt:
    """Stands in for the tokenizer, whose only prompt is the empty one: start, then padding."""

    def __call__(self, _prompt: str, *, max_length: int, **_: object) -> Any:
        return SimpleNamespace(input_ids=[49406] + [49407] * (max_length - 1))


def build(device: torch.device, dtype: torch.dtype, factory: Any, *args: Any) -> Any:
    """`factory(*args)` with random weights of a dtype on a device, in eval mode."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            network: nn.Module = factory(*args)
    finally:
        torch.set_default_dtype(before)
    return network.eval().requires_grad_(False)


def random_unets(
    device: torch.device, dtype: torch.dtype, channels: Sequence[int] = UNET["block_out_channels"]
) -> tuple[UNet3D, AppearanceEncoder, PoseControlNet]:
    """The three networks of a denoising step; `channels` makes them narrower."""
    config = {**UNET, "block_out_channels": list(channels)}
    return (
        build(device, dtype, UNet3D, MAGICANIMATE, config),
        build(device, dtype, AppearanceEncoder, MAGICANIMATE, config),
        build(device, dtype, PoseControlNet, config),
    )


def random_networks(
    device: torch.device, dtype: torch.dtype, channels: Sequence[int] = UNET["block_out_channels"], seed: int = 0
) -> Networks:
    """The published architecture with random weights; `channels` makes it narrower, the VAE in proportion."""
    torch.manual_seed(seed)
    narrower = channels[0] / UNET["block_out_channels"][0]
    vae = {**VAE, "block_out_channels": [max(32, round(c * narrower / 32) * 32) for c in VAE["block_out_channels"]]}
    unet, appearance, controlnet = random_unets(device, dtype, channels)
    return Networks(
        unet=unet,
        appearance=appearance,
        controlnet=controlnet,
        vae=build(device, dtype, build_vae, vae),
        text_encoder=build(device, dtype, build_text_encoder, TEXT),
        tokenizer=EmptyPrompt(),
        files=(),
    )
