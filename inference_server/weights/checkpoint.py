"""Reading weight files: shapes from headers, then tensors; .safetensors, and .bin or .ckpt without running code."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from inference_server.errors import UserError
from inference_server.models.layouts import Shapes, unwrap_state_dict

GET_AGAIN = "Fetch it again: python -m inference_server weights pull, or copy the file anew."


def unreadable(path: Path, reason: object) -> UserError:
    return UserError(f"{path} is not a readable weight file ({reason})", fix=GET_AGAIN, code="weights-unreadable")


def read_shapes(path: Path) -> Shapes:
    """Every tensor's name and shape, without loading values. Raises UserError `weights-unreadable` naming the file."""
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError) as error:
            raise unreadable(path, error) from error
    return {key: tuple(tensor.shape) for key, tensor in _read_pickle(path, device="meta").items()}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors on the CPU in the file's own dtype. Raises UserError `weights-unreadable` naming the file."""
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise unreadable(path, error) from error
    return _read_pickle(path, device="cpu")


def _read_pickle(path: Path, device: str) -> dict[str, Tensor]:
    """torch's own format, tensors only: `weights_only` refuses anything that would run code."""
    try:
        mapped = device == "cpu" and is_zip(path)
        content = unwrap_state_dict(torch.load(path, map_location=device, weights_only=True, mmap=mapped))
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise unreadable(path, str(error).strip().partition("\n")[0]) from error
    if not isinstance(content, Mapping):
        raise unreadable(path, "no state dict in it")
    return {key: tensor for key, tensor in content.items() if isinstance(tensor, Tensor)}


def is_zip(path: Path) -> bool:
    """torch's format since 1.6, which can be mapped: a whole UNet then takes no memory twice while it is read."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"
