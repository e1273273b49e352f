"""The published checkpoint tree -> the seven parts of the pipeline.

    FOLDER/MagicAnimate/{appearance_encoder,densepose_controlnet}/{config.json,diffusion_pytorch_model.*}
    FOLDER/MagicAnimate/temporal_attention/temporal_attention.{ckpt,safetensors}
    FOLDER/stable-diffusion-v1-5/{unet,text_encoder,tokenizer}
    FOLDER/sd-vae-ft-mse
    FOLDER/taesd, if it is there

All headers are checked before the first tensor is read. As with the published loader, a file may hold more than its
network has: that is told and left out. What is missing or has another shape is refused.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from inference_server.errors import UserError
from inference_server.models.layouts import (
    Shapes,
    build_empty,
    compare,
    count_entries,
    rename_temporal,
    rename_text_encoder,
    rename_vae,
    shapes_of,
)
from inference_server.models.spec import MAGICANIMATE
from inference_server.models.unet import AppearanceEncoder, PoseControlNet, UNet3D, network_arguments
from inference_server.weights.catalogue import DIFFUSERS_NAMES, TEMPORAL_NAMES, TEXT_ENCODER_NAMES
from inference_server.weights.checkpoint import GET_AGAIN, read_shapes, read_tensors

log = logging.getLogger(__name__)


@dataclass
class Networks:
    """The loaded parts, all in one dtype, in eval mode, on the CPU until the engine places them."""

    unet: UNet3D
    appearance: AppearanceEncoder
    controlnet: PoseControlNet
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    files: tuple[Path, ...]
    """Every weight file that was read, for the recipe."""
    notes: tuple[str, ...] = ()
    """A line for every file that holds more than its network uses."""
    small_vae: AutoencoderTiny | None = None
    """A rougher and much faster decoder of the same latents (TAESD), if the tree has one."""

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The networks by name, as placement knows them."""
        names = ("unet", "appearance", "controlnet", "vae", "text_encoder", "small_vae")
        return {name: network for name in names if (network := getattr(self, name)) is not None}


@dataclass(frozen=True)
class WeightFile:
    """One file on disk and what its network takes of it: all that is `required`, and what is there of `optional`."""

    path: Path
    required: Shapes
    rename: Callable[[Mapping[str, Any]], dict[str, Any]]
    optional: Shapes = field(default_factory=dict)

    def check(self) -> str:
        """Compare the header. Returns a line about entries that are not used, empty if there are none.

        Raises UserError `weights-mismatch` with the file, the first missing key, or the first shape that differs.
        """
        mismatch = compare(self.required, self.rename(read_shapes(self.path)), self.optional)
        if mismatch:
            raise UserError(
                f"{self.path} does not fit its config.json: {mismatch}", fix=GET_AGAIN, code="weights-mismatch"
            )
        if not mismatch.extra:
            return ""
        return (
            f"{self.path.name}: {count_entries(len(mismatch.extra))} that the network does not have, "
            f"first {mismatch.extra[0]}: not used"
        )

    def read(self, dtype: torch.dtype) -> dict[str, Tensor]:
        tensors = self.rename(read_tensors(self.path))
        known = {**self.required, **self.optional}
        return {key: tensor.to(dtype) for key, tensor in tensors.items() if key in known}


def find_file(folder: Path, names: tuple[str, ...]) -> Path:
    """The first of `names` that is there. Raises UserError `weights-missing` naming the folder and the names."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise UserError(
        f"{folder} has no {names[0]}" + (f" (nor {', '.join(names[1:])})" if names[1:] else ""),
        fix="Fetch the weights: python -m inference_server weights pull, or name the folder that holds them.",
        code="weights-missing",
    )


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a part. Raises UserError naming the file."""
    path = find_file(folder, ("config.json",))
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError(f"{path} is not readable ({error})", fix=GET_AGAIN, code="weights-unreadable") from error
    return dict(config)


def build_text_encoder(config: Mapping[str, Any]) -> CLIPTextModel:
    known = {key: value for key, value in config.items() if key not in ("architectures", "_name_or_path", "model_type")}
    return CLIPTextModel(CLIPTextConfig(**known))


def build_vae(config: Mapping[str, Any]) -> AutoencoderKL:
    return AutoencoderKL(**network_arguments(AutoencoderKL, config))


def build_small_vae(config: Mapping[str, Any]) -> AutoencoderTiny:
    return AutoencoderTiny(**network_arguments(AutoencoderTiny, config))


def same(entries: Mapping[str, Any]) -> dict[str, Any]:
    return dict(entries)


@dataclass(frozen=True)
class Tree:
    """A checked folder. networks: empty, by name. files: of each network; what a later one holds replaces an earlier
    one's. notes: see `Networks.notes`."""

    networks: dict[str, nn.Module]
    files: dict[str, list[WeightFile]]
    notes: tuple[str, ...]


def check_tree(folder: Path) -> Tree:
    """The networks, empty, and the files of each, every header compared; reads no tensor.

    Raises UserError for a missing, unreadable or unfitting file.
    """
    if not folder.is_dir():
        raise UserError(f"There is no weights folder {folder}", fix="Name an existing folder.", code="weights-missing")
    own, base = folder / "MagicAnimate", folder / "stable-diffusion-v1-5"
    places = {
        "unet": (base / "unet", lambda config: UNet3D(MAGICANIMATE, config), DIFFUSERS_NAMES, same),
        "appearance": (
            own / "appearance_encoder",
            lambda config: AppearanceEncoder(MAGICANIMATE, config),
            DIFFUSERS_NAMES,
            same,
        ),
        "controlnet": (own / "densepose_controlnet", PoseControlNet, DIFFUSERS_NAMES, same),
        "vae": (folder / "sd-vae-ft-mse", build_vae, DIFFUSERS_NAMES, rename_vae),
        "text_encoder": (base / "text_encoder", build_text_encoder, TEXT_ENCODER_NAMES, rename_text_encoder),
    }
    if (folder / "taesd").is_dir():
        places["small_vae"] = (folder / "taesd", build_small_vae, DIFFUSERS_NAMES, same)
    networks: dict[str, nn.Module] = {}
    files: dict[str, list[WeightFile]] = {}
    for name, (place, build, file_names, rename) in places.items():
        networks[name] = build_empty(build, read_config(place))
        expected = shapes_of(networks[name])
        motion = {key: shape for key, shape in expected.items() if "motion_modules" in key}
        plain = {key: shape for key, shape in expected.items() if key not in motion}
        files[name] = [WeightFile(find_file(place, file_names), plain, rename)]
        if motion:
            temporal = find_file(own / "temporal_attention", TEMPORAL_NAMES)
            files[name].append(WeightFile(temporal, motion, partial(rename_temporal, network=expected), plain))
    notes = tuple(note for parts in files.values() for part in parts if (note := part.check()))
    check_same_latents(folder, networks)
    return Tree(networks, files, notes)


def check_same_latents(folder: Path, networks: Mapping[str, nn.Module]) -> None:
    """Raises UserError `weights-mismatch` if the small decoder is not one for the latents of the VAE."""
    if "small_vae" not in networks:
        return
    vae, small = networks["vae"].config, networks["small_vae"].config
    known = (vae.latent_channels, len(vae.block_out_channels))
    if (small.latent_channels, len(small.decoder_block_out_channels)) != known:
        raise UserError(
            f"{folder / 'taesd'} decodes other latents than {folder / 'sd-vae-ft-mse'} makes",
            fix="Delete that folder: it is only used for drafts.",
            code="weights-mismatch",
        )


def load_networks(folder: Path, dtype: torch.dtype) -> Networks:
    """Load the tree in `folder`. Raises UserError for a missing, unreadable or unfitting file, before loading any."""
    tree = check_tree(folder)
    for note in tree.notes:
        log.warning("%s", note)
    tokenizer = load_tokenizer(folder / "stable-diffusion-v1-5" / "tokenizer")
    for name, network in tree.networks.items():
        tensors = {key: tensor for part in tree.files[name] for key, tensor in part.read(dtype).items()}
        network.load_state_dict(tensors, assign=True)
        network.eval().requires_grad_(False)
    restore_position_ids(tree.networks["text_encoder"])
    read = tuple(part.path for parts in tree.files.values() for part in parts)
    return Networks(**tree.networks, tokenizer=tokenizer, files=read, notes=tree.notes)


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    find_file(folder, ("vocab.json",))
    find_file(folder, ("merges.txt",))
    try:
        return CLIPTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"{folder} is not a tokenizer ({reason})", fix=GET_AGAIN, code="weights-unreadable") from error


def restore_position_ids(text_encoder: nn.Module) -> None:
    """position_ids is a constant outside the state dict, so a network built on the meta device lacks its values."""
    for module in text_encoder.modules():
        if "position_ids" in module._buffers:
            count = module._buffers["position_ids"].shape[-1]
            module.register_buffer("position_ids", torch.arange(count).unsqueeze(0), persistent=False)
