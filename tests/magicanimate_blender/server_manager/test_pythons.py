"""Finding a Python that can make the server's environment."""

import json
import sys
from pathlib import Path

import pytest

from magicanimate_blender.client import ClientError
from magicanimate_blender.server_manager import find_python, pythons


@pytest.fixture
def no_system_python(monkeypatch):
    monkeypatch.setattr(pythons, "_system_pythons", lambda: iter(()))


def fake_python(folder: Path, **answer) -> Path:
    found = {"version": [3, 12, 1], "executable": "/opt/python", "bits": 64, "venv": True, **answer}
    path = folder / "python"
    path.write_text(f"#!/bin/sh\necho '{json.dumps(found)}'\n")
    path.chmod(0o755)
    return path


def test_this_very_python_will_do():
    found = find_python([sys.executable])
    assert found.version == sys.version_info[:3]
    assert found.executable.is_file()


def test_a_hint_that_is_nothing_is_passed_over(tmp_path):
    assert find_python([tmp_path / "missing", sys.executable]).version == sys.version_info[:3]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"version": [3, 10, 4]}, "is version 3.10.4"),
        ({"version": [3, 99, 0]}, "is version 3.99.0"),
        ({"bits": 32}, "is a 32-bit Python"),
        ({"venv": False}, "can't make environments"),
        ({"version": "odd"}, "does not run"),
    ],
)
def test_a_python_that_will_not_do_is_named_with_the_reason(tmp_path, no_system_python, answer, why):
    path = fake_python(tmp_path, **answer)
    with pytest.raises(ClientError) as caught:
        find_python([path])
    assert caught.value.code == "wrong-python"
    assert f"{path} {why}" in caught.value.detail


def test_a_python_that_lacks_only_venv_is_completed_not_replaced(tmp_path, no_system_python):
    with pytest.raises(ClientError) as caught:
        find_python([fake_python(tmp_path, venv=False)])
    assert "python3-venv" in caught.value.fix


def test_none_at_all(no_system_python):
    with pytest.raises(ClientError, match="none was found"):
        find_python([])
