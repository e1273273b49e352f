"""Fixtures for a real Blender window: which Blenders there are, the zip, and where pictures go."""

import json
import os
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from magicanimate_blender.server_manager.torch_build import TORCH
from tests.gui.slow_server import SlowServer
from tests.magicanimate_blender.server_manager.wheels import make_server_wheel, make_wheel
from tools import extension

BLENDERS = {"trixie": "4.3", "sid": "5.2"}
"""Debian suite -> its Blender. `python3 tools/dev.py gui` makes a chroot of each and names their folder here:"""
CHROOTS = os.environ.get("BLENDER_CHROOTS")


@pytest.fixture(params=BLENDERS, ids=lambda suite: f"blender-{BLENDERS[suite]}", scope="session")
def chroot(request: pytest.FixtureRequest) -> Path:
    if not CHROOTS:
        pytest.skip("needs Blender's window: python3 tools/dev.py gui")
    path = Path(CHROOTS, request.param)
    if not (path / "usr/bin/blender").exists():
        pytest.skip(f"there is no Blender in {path}: python3 tools/dev.py gui makes it")
    return path


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return extension.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture
def small_archive(archive: Path, tmp_path: Path) -> Path:
    """The extension with a server that only says what it is, in the place and by the name of the real one."""
    path = tmp_path / archive.name
    with zipfile.ZipFile(archive) as real, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as small:
        for name in real.namelist():
            content = real.read(name)
            if name.endswith(".whl"):
                content = make_server_wheel(tmp_path, Path(name).name.split("-")[1]).read_bytes()
            small.writestr(name, content)
    return path


@pytest.fixture
def small_torch(tmp_path: Path) -> Path:
    """PyTorch of nothing, but of as many files as it takes to see it being installed."""
    files = {f"torch/part_{n:04}.py": "\n".join(f"A{k} = {k}" for k in range(100)) for n in range(4000)}
    return make_wheel(tmp_path, "torch", f"{TORCH}+cpu", {"torch/__init__.py": "", **files})


@pytest.fixture
def pip_settings(tmp_path: Path, machine_environment: dict[str, str]) -> Path:
    """This machine's settings of pip, as one file."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True, env=machine_environment)
    settings = re.findall(r"^(?:global|:env:)\.([\w-]+)='(.*)'$", listed.stdout, re.MULTILINE)
    path = tmp_path / "pip.conf"
    path.write_text("\n".join(["[global]", *(f"{name} = {value}" for name, value in dict(settings).items())]))
    return path


@pytest.fixture
def pictures(request: pytest.FixtureRequest, chroot: Path, tmp_path: Path) -> Path:
    """Where a run's screenshots and logs are left: below WINDOW_PICTURES where that is set."""
    kept = os.environ.get("WINDOW_PICTURES")
    return Path(kept, chroot.name, request.node.originalname) if kept else tmp_path / "out"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A real server with the demo weights; the environment that tells a driver where it is."""
    data = tmp_path / "server"
    command = [sys.executable, "-m", "inference_server", "serve", "--port", "0", "--data-dir", str(data)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        running = data / "server.json"
        while not running.exists():
            assert process.poll() is None, "the server ended"
            time.sleep(0.1)
        url = json.loads(running.read_text())["url"]
        yield {"SERVER_URL": url, "SERVER_TOKEN": (data / "token").read_text().strip()}
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def slow_server() -> Iterator[SlowServer]:
    server = SlowServer()
    yield server
    server.kill()
