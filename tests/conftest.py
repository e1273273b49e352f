"""What all tests share. Golden vectors come from the folder GOLDEN_DIR names (default: the copy beside this file)."""

import json
import lzma
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.network import nothing_asked_of_the_network  # noqa: F401  a fixture of every test

# The suite runs on every core at once: how long one example takes says nothing about the code.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

OWN_FILES = Path(tempfile.mkdtemp(prefix="magicanimate-tests-"))
"""Stands for this person's settings and caches, which Blender and graphics drivers would write to."""
for name, folder in {"BLENDER_USER_RESOURCES": "blender", "XDG_CACHE_HOME": "cache"}.items():  # before bpy is imported
    (OWN_FILES / folder).mkdir()
    os.environ[name] = str(OWN_FILES / folder)

GOLDEN_DIR = Path(os.environ.get("GOLDEN_DIR", Path(__file__).parent / "golden"))


@pytest.fixture(scope="session", autouse=True)
def machine_environment() -> Iterator[dict[str, str]]:
    """pip in tests asks no index and heeds no settings of this machine. Gives os.environ as it was before."""
    before = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        for name in before:
            if name.upper().startswith("PIP_"):
                patch.delenv(name)
        patch.setenv("PIP_CONFIG_FILE", os.devnull)  # which also keeps pip from its other files
        patch.setenv("PIP_NO_INDEX", "1")
        yield before


REAL_DATA = Path(os.environ.get("REAL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real DensePose clips and pictures of people, which REAL_DATA names; not part of the repository."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"the real clips are not here: {REAL_DATA}")
    return REAL_DATA


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    return GOLDEN_DIR


@pytest.fixture(scope="session")
def golden(golden_dir: Path) -> Callable[[str], dict[str, Any]]:
    """`golden("unet3d_forward")`: tensors by name, and the parameters of the run under "params"."""
    from safetensors import safe_open

    def read(name: str) -> dict[str, Any]:
        with safe_open(golden_dir / f"{name}.safetensors", "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            params = json.loads((file.metadata() or {}).get("params", "{}"))
        return {**tensors, "params": params}

    return read


@pytest.fixture(scope="session")
def golden_networks(golden_weights: Path) -> Any:
    """The golden checkpoint's networks, loaded once."""
    import torch

    from inference_server.engines.magicanimate.loader import load_networks

    return load_networks(golden_weights, torch.float32)


@pytest.fixture(scope="session")
def golden_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden checkpoint tree, unpacked: tiny, random, in the published layout."""
    folder = tmp_path_factory.mktemp("golden-weights")
    for path in sorted((GOLDEN_DIR / "ckpt").rglob("*")):
        target = folder / path.relative_to(GOLDEN_DIR / "ckpt")
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif path.suffix == ".xz":
            target.with_suffix("").write_bytes(lzma.decompress(path.read_bytes()))
        else:
            shutil.copyfile(path, target)
    return folder


EXIT_STATUS = pytest.StashKey[int]()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[EXIT_STATUS] = int(exitstatus)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Tidy up, and end without Blender's way out where that crashes.

    In the 4.2 module any property with a Python callback, registered once, is a segmentation fault at exit, and
    pytest's verdict would be lost in it.
    """
    shutil.rmtree(OWN_FILES, ignore_errors=True)
    bpy = sys.modules.get("bpy")
    if bpy is not None and bpy.app.version < (4, 3):
        shutil.rmtree(bpy.app.tempdir, ignore_errors=True)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[EXIT_STATUS])
