"""Real-size networks on the meta device against every published key and shape; spellings of the files."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.engines.magicanimate.loader import build_text_encoder, build_vae
from inference_server.models.layouts import (
    build_empty,
    compare,
    rename_temporal,
    rename_text_encoder,
    rename_vae,
    shapes_of,
)
from inference_server.models.spec import MAGICANIMATE
from inference_server.models.unet import AppearanceEncoder, PoseControlNet, UNet3D

KEYS = Path(__file__).parent / "published_keys"

SD15_UNET = {"attention_head_dim": 8, "cross_attention_dim": 768, "block_out_channels": [320, 640, 1280, 1280]}
SD15_TEXT = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}
SD_VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "latent_channels": 4,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}


def published(name: str) -> dict[str, tuple[int, ...]]:
    return {key: tuple(shape) for key, shape in json.loads((KEYS / f"{name}.json").read_text()).items()}


def exact(ours, theirs) -> bool:
    """Every key and shape, and none besides."""
    mismatch = compare(ours, theirs)
    return not mismatch and not mismatch.extra


@pytest.fixture(scope="module")
def unet():
    return build_empty(UNet3D, MAGICANIMATE, SD15_UNET)


def test_unet_keys(unet):
    ours = {key: shape for key, shape in shapes_of(unet).items() if "motion_modules" not in key}
    assert exact(ours, published("sd15_unet"))


def test_temporal_attention_keys(unet):
    ours = {key: shape for key, shape in shapes_of(unet).items() if "motion_modules" in key}
    assert exact(ours, rename_temporal(published("temporal_attention"), ours))
    assert len(ours) == 560


def test_appearance_encoder_keys():
    network = build_empty(AppearanceEncoder, MAGICANIMATE, SD15_UNET)
    assert exact(shapes_of(network), published("appearance_encoder"))


def test_controlnet_keys():
    assert exact(shapes_of(build_empty(PoseControlNet, SD15_UNET)), published("densepose_controlnet"))


def test_vae_keys_in_old_names():
    old = published("sd_vae_ft_mse_old_names")
    assert any(key.endswith("proj_attn.weight") for key in old)
    assert exact(shapes_of(build_empty(build_vae, SD_VAE)), rename_vae(old))


def test_text_encoder_keys():
    network = build_empty(build_text_encoder, SD15_TEXT)
    assert exact(shapes_of(network), rename_text_encoder(published("sd15_text_encoder")))


@given(
    st.sampled_from(["", "module.", "unet.", "module.unet."]),
    st.sets(st.sampled_from(["conv_in.weight", "conv_out.bias", "ema.decay"])),
)
def test_temporal_spellings(prefix, others):
    motion = "down_blocks.0.motion_modules.1.temporal_transformer.norm.weight"
    network = {motion, "conv_in.weight", "conv_out.bias"}
    renamed = rename_temporal({f"{prefix}{key}": key for key in (motion, *others)}, network)
    taken = others & network if "unet." not in prefix else set()  # only motion modules are looked for below `unet.`
    assert {key for key in renamed if key in network} == {motion, *taken}
    assert all(key == value for key, value in renamed.items() if key in network)
    assert len(renamed) == 1 + len(others), "the others keep a name by which they can be told"


def test_a_mismatch_says_what_differs():
    text = str(compare({"a": (1,), "b": (2, 3), "c": (4,)}, {"b": (3, 2), "c": (4,), "x": (9,)}))
    assert "1 entry missing, first a" in text
    assert "1 entry extra, first x" in text
    assert "b with (3, 2) instead of (2, 3)" in text


def test_entries_too_many_are_no_reason_to_refuse():
    mismatch = compare({"a": (1,)}, {"a": (1,), "b": (2,), "x": (3,)}, {"b": (2,)})
    assert not mismatch
    assert mismatch.extra == ("x",)
    assert compare({"a": (1,)}, {"a": (1,), "b": (2,)}, {"b": (9,)}).misshapen == (("b", (2,), (9,)),)
