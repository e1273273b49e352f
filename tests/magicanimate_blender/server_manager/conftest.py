import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from magicanimate_blender.server_manager import Installation, InstallTask, LocalServer
from magicanimate_blender.server_manager.torch_build import CPU, TORCH
from tests.magicanimate_blender.server_manager.wheels import make_server_wheel, make_torch_wheel


def finish(task: InstallTask) -> list[str]:
    """Wait for an installation; its lines."""
    end = time.monotonic() + 120
    while not task.poll().ended:
        assert time.monotonic() < end
        time.sleep(0.02)
    lines = []
    while not task.lines.empty():
        lines.append(task.lines.get())
    return lines


@pytest.fixture(scope="session")
def wait_for_install() -> Callable[[InstallTask], list[str]]:
    return finish


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of wheels: all that pip can install."""
    folder = tmp_path_factory.mktemp("wheels")
    make_torch_wheel(folder, f"{TORCH}+cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_FIND_LINKS", str(folder))
        # What Blender may have set for its own Python must not reach the server's.
        patch.setenv("PYTHONPATH", "/nonexistent/blender")
        yield folder


@pytest.fixture(scope="session")
def installation(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A real environment with the tiny server, made once. Tests that change it change a copy."""
    made = Installation(tmp_path_factory.mktemp("server"), make_server_wheel(wheels, "0.1.0"))
    task = made.install([sys.executable], build=CPU)
    lines = finish(task)
    assert task.poll().code == "", lines
    return made


@pytest.fixture
def copy(installation: Installation, wheels: Path, tmp_path: Path) -> Installation:
    """The same again, to be changed."""
    shutil.copytree(installation.folder.environment, tmp_path / "copy" / "environment", symlinks=True)
    shutil.copy(installation.folder.notes, tmp_path / "copy")
    return Installation(tmp_path / "copy", installation.wheel)


@pytest.fixture
def local(installation: Installation) -> Iterator[LocalServer]:
    server = LocalServer(installation)
    yield server
    server.stop()
