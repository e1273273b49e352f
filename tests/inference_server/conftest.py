"""Fixtures of the server's tests: the golden networks, loaded once."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from inference_server.engines.magicanimate.loader import Networks, load_networks


@pytest.fixture(scope="session")
def golden_networks(golden_weights: Path) -> Networks:
    return load_networks(golden_weights, torch.float32)


@pytest.fixture
def golden(golden_dir: Path):
    """`golden("unet3d_forward")`: tensors by name, and the file's parameters under "params"."""

    def read(name: str) -> dict[str, Tensor]:
        with safe_open(golden_dir / f"{name}.safetensors", "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            params = json.loads((file.metadata() or {}).get("params", "{}"))
        return {**tensors, "params": params}

    return read
