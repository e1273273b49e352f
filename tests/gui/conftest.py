"""Fixtures for a real Blender window: which Blenders there are, the zip, and where pictures go."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

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
