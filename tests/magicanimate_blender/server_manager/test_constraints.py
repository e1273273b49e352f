"""A machine whose pip has a constraints file, as studios have it: real pip, real files."""

import subprocess
import sys

import pytest

from magicanimate_blender.server_manager import Installation, InstallKind
from magicanimate_blender.server_manager.constraints import constraint_advice
from magicanimate_blender.server_manager.torch_build import CPU, TorchBuild
from tests.magicanimate_blender.server_manager.wheels import make_wheel


@pytest.fixture(params=["PIP_CONSTRAINT", "pip.conf"])
def constrain(request, tmp_path, monkeypatch):
    """constrain(text): the constraints file of this machine's pip, named by a variable or by pip's own settings."""

    def write(text):
        file = tmp_path / "constraints.txt"
        file.write_text(text)
        if request.param == "PIP_CONSTRAINT":
            monkeypatch.setenv("PIP_CONSTRAINT", str(file))
        else:
            settings = tmp_path / "pip.conf"
            settings.write_text(f"[install]\nconstraint = {file}\n")
            monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
        return file

    return write


def test_a_constraint_that_forbids_pytorch_is_named_with_its_file(copy, constrain, wait_for_install):
    file = constrain("# set by the studio\npillow<99\nTorch <= 2.12.9 ; python_version > '3'  # until the farm moves\n")
    task = copy.install([sys.executable], build=TorchBuild("cu999", "another build than the installed one"))
    lines = wait_for_install(task)
    failed = task.poll()
    assert failed.code == "pip-constraint", lines
    assert failed.message == (
        f"PyTorch could not be installed: pip is told to keep to torch<=2.12.9, in line 3 of {file}"
    )
    assert "that line" in failed.fix

    file.write_text("pillow<99\n")
    lines = wait_for_install(copy.install([sys.executable], build=CPU))
    assert copy.state().kind is InstallKind.INSTALLED, lines


def test_a_constraint_that_allows_the_version_is_not_blamed(copy, constrain, wait_for_install):
    constrain("torch<=2.14.1\n")
    task = copy.install([sys.executable], build=TorchBuild("cu999", "a build that is not there"))
    lines = wait_for_install(task)
    assert any("(constraint) torch<=2.14.1" in line for line in lines), "pip says now which of the two it is"
    assert task.poll().code == "wrong-python"


def test_a_constraint_on_what_the_server_needs_is_named(copy, wheels, tmp_path, constrain, wait_for_install):
    make_wheel(wheels, "some_library", "2.0", {"some_library.py": ""})
    server = make_wheel(tmp_path, "magicanimate_inference_server", "0.3.0", {}, requires="some-library>=2")
    file = constrain("some.library==1.4\n")
    task = Installation(copy.folder.path, server).install([sys.executable], build=CPU)
    lines = wait_for_install(task)
    assert task.poll().code == "pip-constraint", lines
    assert task.poll().message.endswith(f"some-library==1.4, in line 1 of {file}")


def test_a_constraints_file_may_name_others_and_one_that_can_not_be_read_is_named(tmp_path, monkeypatch):
    lines = [
        "    The user requested torch==2.13.0+cpu",
        "    The user requested (constraint) torch==2.9",
    ]
    first, second = tmp_path / "first.txt", tmp_path / "pins" / "second.txt"
    second.parent.mkdir()
    first.write_text("-c pins/second.txt\n")
    second.write_text("numpy<3\ntorch==2.9\n")
    monkeypatch.setenv("PIP_CONSTRAINT", f"http://127.0.0.1:1/pins.txt {first}")
    assert constraint_advice(lines, sys.executable).detail.endswith(f"torch==2.9, in line 2 of {second}")
    second.unlink()
    assert constraint_advice(lines, sys.executable).detail.endswith(f", in http://127.0.0.1:1/pins.txt or {first}")


def test_output_without_a_conflict_has_no_such_advice(tmp_path):
    lines = ["Collecting torch", "ERROR: No matching distribution found for torch==2.13.0+cpu"]
    assert constraint_advice(lines, tmp_path / "no python") is None


def test_this_suite_heeds_no_setting_of_the_machines_pip(installation):
    command = [installation.python, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    names = {line.partition("=")[0] for line in listed.splitlines()}
    assert names == {":env:.config-file", ":env:.find-links", ":env:.no-index"}
