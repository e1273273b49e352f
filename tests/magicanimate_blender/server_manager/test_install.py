"""Real environments, real pip, tiny wheels."""

import shutil
import sys
import threading
import time

import pytest

from magicanimate_blender.client import ClientError
from magicanimate_blender.server_manager import Installation, InstallKind, LocalServer
from magicanimate_blender.server_manager.folder import numbers
from magicanimate_blender.server_manager.install import wheel_version
from magicanimate_blender.server_manager.torch_build import CPU, TorchBuild
from tests.magicanimate_blender.server_manager.wheels import make_server_wheel


def test_an_installation_is_noted_and_its_log_kept(installation):
    state = installation.state()
    assert (state.kind, state.version, state.build) == (InstallKind.INSTALLED, "0.1.0", CPU.title)
    assert state.usable
    log = installation.folder.install_log.read_text()
    assert "== Installing PyTorch" in log
    assert "Successfully installed torch" in log
    assert installation.task is not None
    assert installation.task.poll().title == "Done"


def test_nothing_installed_is_said_with_the_way_out(tmp_path):
    fresh = Installation(tmp_path, None)
    assert fresh.state().kind is InstallKind.NOT_INSTALLED
    with pytest.raises(ClientError) as caught:
        fresh.require()
    assert caught.value.code == "server-not-installed"
    with pytest.raises(ClientError) as caught:
        fresh.install()
    assert caught.value.code == "no-wheel"
    fresh.remove(data=True)


def test_an_environment_of_the_users_own_is_used_as_it_is(tmp_path):
    own = Installation(tmp_path, None, python=tmp_path / "python")
    assert own.state().kind is InstallKind.BROKEN
    (tmp_path / "python").write_text("")
    assert own.state().usable
    with pytest.raises(ClientError, match="Own Environment"):
        own.install()


def test_upgrade_stops_the_idle_server_and_repair_finds_damage(copy, tmp_path, wait_for_install):
    newer = Installation(copy.folder.path, make_server_wheel(tmp_path, "0.2.0"))
    assert newer.state().kind is InstallKind.OUTDATED
    assert "0.2.0" in newer.state().sentence
    server = LocalServer(copy)
    server.connect(lambda sentence: None, threading.Event()).close()
    lines = wait_for_install(newer.install([sys.executable], build=CPU))
    assert not server.started_here
    assert newer.state().kind is InstallKind.INSTALLED, lines
    assert newer.state().version == "0.2.0"
    assert not any(line.startswith("Python 3") for line in lines), "the environment was made again"

    shutil.rmtree(next(newer.folder.environment.glob("lib/python3*/site-packages/inference_server")))
    assert newer.state().kind is InstallKind.BROKEN
    wait_for_install(newer.install([sys.executable], build=CPU))
    assert newer.state().kind is InstallKind.INSTALLED


def test_a_server_that_computes_is_not_replaced(installation, monkeypatch, wait_for_install):
    monkeypatch.setenv("FAKE_QUEUED", "1")
    server = LocalServer(installation)
    server.connect(lambda sentence: None, threading.Event()).close()
    try:
        task = installation.install([sys.executable], build=CPU)
        wait_for_install(task)
        assert task.poll().code == "busy"
        assert server.started_here
        assert not server.stop_if_idle()
    finally:
        assert server.stop()


def test_a_missing_package_ends_with_advice_and_goes_on_later(copy, wait_for_install):
    copy.folder.notes.unlink()
    task = copy.install([sys.executable], build=TorchBuild("cu999", "a build that is not there"))
    wait_for_install(task)
    failed = task.poll()
    assert failed.code == "wrong-python"
    assert failed.message.startswith("PyTorch could not be installed")
    assert copy.state().kind is InstallKind.INCOMPLETE
    with pytest.raises(ClientError) as caught:
        copy.require()
    assert caught.value.code == "server-broken"

    task = copy.install([sys.executable], build=CPU)
    while "Installing" not in task.poll().title:
        assert not task.poll().ended
        time.sleep(0.002)
    task.cancel()
    wait_for_install(task)
    assert task.poll().code == "cancelled"
    assert copy.state().kind is InstallKind.INCOMPLETE

    lines = wait_for_install(copy.install([sys.executable], build=CPU))
    assert copy.state().kind is InstallKind.INSTALLED, lines
    assert not any(line.startswith("Python 3") for line in lines)


def test_removing_keeps_what_the_server_made_unless_told(copy):
    copy.folder.data.mkdir()
    copy.remove()
    assert copy.state().kind is InstallKind.NOT_INSTALLED
    assert copy.folder.data.is_dir()
    copy.remove(data=True)
    assert not copy.folder.data.exists()
    copy.sweep()
    assert list(copy.folder.path.iterdir()) == []


def test_while_it_installs_the_state_says_so(wheels, tmp_path, wait_for_install):
    made = Installation(tmp_path, make_server_wheel(tmp_path, "0.1.0"))
    task = made.install([sys.executable], build=CPU)
    assert made.state().kind is InstallKind.INSTALLING
    assert made.install() is task
    with pytest.raises(ClientError) as caught:
        made.require()
    assert caught.value.code == "server-installing"
    task.cancel()
    wait_for_install(task)
    assert task.poll().code == "cancelled"
    assert made.state().kind is InstallKind.NOT_INSTALLED


def test_a_folder_that_can_not_be_made_is_told(tmp_path, wheels, wait_for_install):
    (tmp_path / "file").write_text("")
    made = Installation(tmp_path / "file" / "server", make_server_wheel(tmp_path, "0.1.0"))
    task = made.install([sys.executable], build=CPU)
    wait_for_install(task)
    assert task.poll().code
    assert task.poll().fix


@pytest.mark.parametrize(("older", "newer"), [("0.1.0", "0.1.1"), ("0.9.0", "0.10.0"), ("0.1", "0.1.0"), ("1.0", "2")])
def test_versions_compare_by_number(older, newer):
    assert numbers(older) < numbers(newer)


def test_a_wheel_tells_its_version_by_its_name(tmp_path):
    assert wheel_version(tmp_path / "magicanimate_inference_server-1.2.3-py3-none-any.whl") == "1.2.3"
    assert wheel_version(tmp_path / "other.zip") is None
