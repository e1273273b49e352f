"""Fixtures for a real Blender window: which Blenders there are, the zip, and where pictures go."""

import os
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
