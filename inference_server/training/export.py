"""Write trained networks as a checkpoint tree in the published layout, and hold them as the pipeline's parts."""

import copy
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from tokenizers.pre_tokenizers import ByteLevel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from inference_server.engines.magicanimate.loader import Networks, load_tokenizer
from inference_server.models.spec import MAGICANIMATE
from inference_server.models.unet import AppearanceEncoder, PoseControlNet, UNet3D
from inference_server.training.diffusion import scheduler
from inference_server.training.networks import Denoiser
from inference_server.training.sizes import CONTROLNET, TEXT, UNET, VAE

START, END = "<|startoftext|>", "<|endoftext|>"


def vocabulary() -> dict[str, int]:
    """Every byte, alone and at the end of a word, and the two marks: enough for any prompt, without merges."""
    letters = sorted(ByteLevel.alphabet())
    return {token: i for i, token in enumerate([*letters, *(c + "</w>" for c in letters), START, END])}


def text_encoder() -> CLIPTextModel:
    """Untrained: the prompt is always empty, and prompt attention is silent."""
    words = vocabulary()
    special = {"bos_token_id": words[START], "eos_token_id": words[END], "pad_token_id": words[END]}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CLIPTextModel(CLIPTextConfig(**TEXT, vocab_size=len(words), **special)).eval()


def write_tokenizer(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "vocab.json", vocabulary())
    (folder / "merges.txt").write_text("#version: 0.2\n")
    marks = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    _write_json(folder / "special_tokens_map.json", marks)
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": TEXT["max_position_embeddings"]}
    _write_json(folder / "tokenizer_config.json", {**settings, "do_lower_case": True, "errors": "replace", **marks})


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n")


def _write_network(folder: Path, class_name: str, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", {"_class_name": class_name, **config})
    save_file(_half(weights), folder / "diffusion_pytorch_model.safetensors")


def _half(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor.detach().half().contiguous().cpu() for key, tensor in weights.items()}


def write_checkpoint(folder: Path, denoiser: Denoiser, vae: AutoencoderKL, size: int) -> None:
    """The published tree in half precision. A folder that is there is replaced only once the new one is whole."""
    new = folder.with_name(folder.name + ".part")
    shutil.rmtree(new, ignore_errors=True)
    own, base = new / "MagicAnimate", new / "stable-diffusion-v1-5"
    sample = {"sample_size": size // 2 ** (len(VAE["block_out_channels"]) - 1)}
    weights = full_unet(denoiser).state_dict()
    motion = {key: tensor for key, tensor in weights.items() if "motion_modules" in key}
    plain = {key: tensor for key, tensor in weights.items() if key not in motion}
    _write_network(base / "unet", "UNet2DConditionModel", {**UNET, **sample}, plain)
    appearance = {**UNET, **sample}
    _write_network(own / "appearance_encoder", "AppearanceEncoderModel", appearance, denoiser.appearance.state_dict())
    _write_network(own / "densepose_controlnet", "ControlNetModel", CONTROLNET, denoiser.controlnet.state_dict())
    (own / "temporal_attention").mkdir(parents=True)
    torch.save(_half(motion), own / "temporal_attention" / "temporal_attention.ckpt")
    vae_config = {**VAE, "sample_size": size, "scaling_factor": vae.config.scaling_factor}
    _write_network(new / "sd-vae-ft-mse", "AutoencoderKL", vae_config, vae.state_dict())
    encoder = text_encoder()
    (base / "text_encoder").mkdir(parents=True)
    _write_json(base / "text_encoder" / "config.json", {"architectures": ["CLIPTextModel"], **_text_config(encoder)})
    save_file(_half(encoder.state_dict()), base / "text_encoder" / "model.safetensors")
    write_tokenizer(base / "tokenizer")
    (base / "scheduler").mkdir(parents=True)
    _write_json(
        base / "scheduler" / "scheduler_config.json", dict(scheduler().config) | {"_class_name": "DDIMScheduler"}
    )
    for path in new.rglob("*.safetensors"):
        path.chmod(0o644)  # the safetensors library makes files that only their owner can read
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)


def _text_config(encoder: CLIPTextModel) -> dict[str, Any]:
    config = encoder.config.to_dict()
    wanted = (*TEXT, "vocab_size", "bos_token_id", "eos_token_id", "pad_token_id", "model_type")
    return {key: config[key] for key in wanted}


def full_unet(denoiser: Denoiser) -> UNet3D:
    """The UNet with motion modules (passing everything through if there were none) and prompt attention."""
    unet = UNet3D(MAGICANIMATE, UNET)
    missing, unexpected = unet.load_state_dict(denoiser.unet.state_dict(), strict=False)
    assert not unexpected
    assert all("motion_modules" in key for key in missing)
    return unet


def as_pipeline_parts(denoiser: Denoiser, vae: AutoencoderKL, tokenizer_folder: Path) -> Networks:
    """Copies of the networks as inference holds them, for pictures while training."""
    write_tokenizer(tokenizer_folder)
    appearance, controlnet = AppearanceEncoder(MAGICANIMATE, UNET), PoseControlNet(CONTROLNET)
    appearance.load_state_dict(denoiser.appearance.state_dict())
    controlnet.load_state_dict(denoiser.controlnet.state_dict())
    networks: list[nn.Module] = [full_unet(denoiser), appearance, controlnet, copy.deepcopy(vae), text_encoder()]
    for network in networks:
        network.eval().requires_grad_(False)
    return Networks(*networks, tokenizer=load_tokenizer(tokenizer_folder), files=())
