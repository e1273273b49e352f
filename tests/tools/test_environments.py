"""What dev.py installs, and what it says when it can't."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import environments

ROOT = Path(__file__).resolve().parents[2]


def names(requirements: tuple[str, ...]) -> set[str]:
    return {re.split(r"[=;\[ ]", requirement)[0] for requirement in requirements}


def test_every_requirement_is_pinned_exactly() -> None:
    for requirement in environments.pins("3.11"):
        assert re.fullmatch(r"[\w.-]+==[\w.]+(; .*)?", requirement), requirement


def test_each_blender_gets_what_its_tests_need_and_no_torch() -> None:
    for blender in environments.BLENDERS:
        environment = environments.blender_environment(blender)
        assert f"bpy=={blender}" in environment.pins
        assert {"bpy", "pytest", "hypothesis"} <= names(environment.pins)
        assert "torch" not in names(environment.pins)
    folders = {environments.blender_environment(blender).folder for blender in environments.BLENDERS}
    assert len(folders) == len(environments.BLENDERS)


def test_a_python_that_is_not_here_is_named() -> None:
    with pytest.raises(environments.SetupError, match=r"Python 3\.99 is needed"):
        environments.find_python("3.99")


def test_this_python_is_found() -> None:
    version = "{}.{}".format(*sys.version_info)
    assert environments.python_version(environments.find_python(version)) == version


def test_environment_is_left_alone_while_its_pins_stay(tmp_path: Path) -> None:
    version = "{}.{}".format(*sys.version_info)
    environment = environments.Environment(tmp_path / "venv", version, pins=("pip",))  # which it has already
    python = environment.ensure()
    stamp = tmp_path / "venv" / environments.STAMP
    written = stamp.stat().st_mtime_ns
    assert environment.ensure() == python
    assert stamp.stat().st_mtime_ns == written


@pytest.mark.parametrize("arguments", [["lint", "--fast"], ["fly"], []])
def test_what_dev_does_not_know_it_refuses(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "tools/dev.py", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "usage: dev.py" in done.stderr
