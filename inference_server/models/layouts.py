"""Names and shapes of the published checkpoints, and how their spellings map to ours.

The renaming functions take any mapping by key, so that they serve shapes read from a header as well as tensors.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn

T = TypeVar("T")
Shapes = dict[str, tuple[int, ...]]

OLD_VAE_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def rename_vae(entries: Mapping[str, T]) -> dict[str, T]:
    """VAE mid attention: the old names query, key, value, proj_attn become to_q, to_k, to_v, to_out.0."""
    renamed = {}
    for key, entry in entries.items():
        prefix, _, rest = key.rpartition(".attentions.0.")
        layer, _, leaf = rest.rpartition(".")
        if prefix and layer in OLD_VAE_NAMES:
            key = f"{prefix}.attentions.0.{OLD_VAE_NAMES[layer]}.{leaf}"
        renamed[key] = entry
    return renamed


def rename_text_encoder(entries: Mapping[str, T]) -> dict[str, T]:
    """The published file has a level `text_model.` that transformers 5 dropped, and position_ids, no weight."""
    return {
        key.removeprefix("text_model."): entry
        for key, entry in entries.items()
        if not key.endswith("embeddings.position_ids")
    }


def rename_temporal(entries: Mapping[str, T], network: Collection[str]) -> dict[str, T]:
    """temporal_attention.ckpt, by the rule of the published loader; `network`: every key of the UNet it is for.

    A leading `module.` goes. All that the network knows by name is taken, be it a motion module's or a fine-tuned
    weight of the UNet itself, which then replaces the one of Stable Diffusion. If other entries are left over, those
    of motion modules are taken too, without their leading `unet.`; a UNet's weights under that prefix are not.
    What is neither keeps its name, so that it can be told.
    """
    plain = {key.removeprefix("module."): entry for key, entry in entries.items()}
    motion = {key: key.removeprefix("unet.") for key in plain if key not in network and "motion_modules" in key}
    return {motion.get(key, key): entry for key, entry in plain.items()}


def unwrap_state_dict(content: Any) -> Any:
    """Training checkpoints keep the weights under `state_dict`, beside `global_step` and `epoch`."""
    return content["state_dict"] if isinstance(content, Mapping) and "state_dict" in content else content


def shapes_of(network: nn.Module) -> Shapes:
    """Every key of a network's state dict with its shape; works on the meta device."""
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


@dataclass(frozen=True)
class Mismatch:
    """How a file's entries differ from what a network expects: true if it cannot be loaded, for which extra ones do
    not matter."""

    missing: tuple[str, ...]
    extra: tuple[str, ...]
    misshapen: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]
    """(key, shape in the file, shape of the network)."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.misshapen)

    def __str__(self) -> str:
        parts = []
        for keys, word in ((self.missing, "missing"), (self.extra, "extra")):
            if keys:
                parts.append(f"{count_entries(len(keys))} {word}, first {keys[0]}")
        if self.misshapen:
            key, found, expected = self.misshapen[0]
            parts.append(f"{len(self.misshapen)} of another shape, first {key} with {found} instead of {expected}")
        return "; ".join(parts)


def count_entries(count: int) -> str:
    return f"{count} {'entry' if count == 1 else 'entries'}"


def compare(required: Shapes, found: Shapes, optional: Shapes | None = None) -> Mismatch:
    """Both ways; keys in the order of the side that has them. optional: may be in the file, then in this shape."""
    known = {**(optional or {}), **required}
    return Mismatch(
        missing=tuple(key for key in required if key not in found),
        extra=tuple(key for key in found if key not in known),
        misshapen=tuple((key, found[key], shape) for key, shape in known.items() if found.get(key, shape) != shape),
    )


def build_empty(build: Any, *args: Any) -> nn.Module:
    """`build(*args)` on the meta device: every key and shape, no memory."""
    with torch.device("meta"):
        return build(*args)
