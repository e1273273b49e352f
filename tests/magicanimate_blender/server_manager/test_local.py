"""Starting, attaching to and stopping a real process."""

import json
import os
import signal
import sys
import threading
import time

import pytest

from magicanimate_blender.client import ClientError
from magicanimate_blender.server_manager import Installation, LocalServer, RemoteServer, Watch
from magicanimate_blender.server_manager.local import LOG_LIMIT, tail
from magicanimate_blender.server_manager.running import is_alive
from tests.magicanimate_blender.server_manager.wheels import make_server_wheel


def connect(server, stop: threading.Event | None = None):
    return server.connect(lambda sentence: None, stop or threading.Event())


def test_start_use_and_stop(local):
    said: list[str] = []
    client = local.connect(said.append, threading.Event())
    info = client.server()
    assert said == ["Starting the server"]
    assert local.started_here
    # It printed without flushing, and runs still; and it has no PYTHONPATH of Blender's.
    assert [line.strip() for line in local.log_tail()[-2:]] == ["UTF-8 mode 1", "starting"]
    assert local.stop()
    assert not is_alive(info.pid)
    assert local.log_tail()[-1] == "stopped"
    assert not local.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="reads the process's environment from /proc")
def test_the_server_is_asked_to_bound_the_log_that_the_add_on_makes(local):
    pid = connect(local).server().pid
    with open(f"/proc/{pid}/environ", "rb") as file:
        assert f"MAGICANIMATE_CONSOLE_LIMIT={LOG_LIMIT}".encode() in file.read().split(b"\0")


def test_another_blender_attaches_and_does_not_stop_what_it_did_not_start(local, installation):
    pid = connect(local).server().pid
    other = LocalServer(installation)
    assert connect(other).server().pid == pid
    assert not other.started_here
    assert not other.stop()
    assert not other.stop_if_idle()
    assert is_alive(pid)
    other.stop_any()
    assert not local.started_here
    assert not is_alive(pid)


def test_two_jobs_do_not_start_two_servers(local):
    pids: list[int] = []
    threads = [threading.Thread(target=lambda: pids.append(connect(local).server().pid)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 4
    assert len(set(pids)) == 1


def test_a_killed_server_is_started_again(local):
    first = connect(local).server().pid
    os.kill(first, signal.SIGKILL)
    while local.started_here:
        time.sleep(0.01)
    assert (local.installation.folder.data / "server.json").is_file()  # left behind
    assert connect(local).server().pid != first


def test_leftovers_that_point_to_a_stranger_are_not_believed(local):
    data = local.installation.folder.data
    data.mkdir(exist_ok=True)
    (data / "token").write_text("x")
    for state in (
        {"pid": os.getpid(), "url": "http://127.0.0.1:9"},
        {"pid": 1, "url": "http://203.0.113.1:80"},
        {},
        [],
    ):
        value = {"port": 9, "version": "0.1.0", **state} if isinstance(state, dict) and state else state
        (data / "server.json").write_text(json.dumps(value))
        assert local.attach() is None
    assert connect(local).server().api == 1


def test_stop_if_idle_stops_an_idle_one(local):
    connect(local)
    assert local.stop_if_idle()
    end = time.monotonic() + 10
    while local.started_here:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert not local.stop_if_idle()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("OSError: [Errno 98] address already in use", "port-taken"),
        ("OSError: [Errno 28] No space left on device", "disk-full"),
        ("ModuleNotFoundError: No module named 'fastapi'", "broken-installation"),
        ("something nobody has seen before", "server-did-not-start"),
    ],
)
def test_a_server_that_does_not_start_says_why(local, monkeypatch, line, code):
    monkeypatch.setenv("FAKE_FAULT", line)
    with pytest.raises(ClientError) as caught:
        connect(local)
    assert caught.value.code == code
    assert caught.value.fix
    if code == "server-did-not-start":
        assert line in caught.value.detail
    assert not local.started_here


def test_a_server_that_still_ends_is_waited_for(local, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "error: A server (process 7) already uses the data folder")
    threading.Timer(1.0, os.environ.pop, ["FAKE_FAULT"]).start()
    assert connect(local).server().api == 1


def test_cancelling_the_start_ends_the_process(local, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "hang")
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(ClientError) as caught:
        connect(local, stop)
    assert caught.value.code == "cancelled"
    assert not local.started_here


def test_a_server_from_before_the_upgrade_is_refused(local, installation, tmp_path):
    connect(local)
    newer = LocalServer(Installation(installation.folder.path, make_server_wheel(tmp_path, "9.0.0")))
    with pytest.raises(ClientError) as caught:
        connect(newer)
    assert caught.value.code == "wrong-version"
    assert "9.0.0" in caught.value.detail


def test_not_installed_is_said_instead_of_a_start(tmp_path):
    with pytest.raises(ClientError) as caught:
        connect(LocalServer(Installation(tmp_path, None)))
    assert caught.value.code == "server-not-installed"


def test_a_python_that_is_none_is_told(tmp_path):
    (tmp_path / "python").write_text("not a program")
    with pytest.raises(ClientError) as caught:
        connect(LocalServer(Installation(tmp_path / "server", None, python=tmp_path / "python")))
    assert caught.value.code == "server-broken"


def test_a_server_elsewhere(local):
    client = connect(local)
    remote = RemoteServer(client.url, "token-of-the-test")
    assert connect(remote).server().pid == client.server().pid
    with pytest.raises(ClientError) as caught:
        connect(RemoteServer(client.url, "wrong"))
    assert caught.value.code == "wrong-token"


def wait_status(watch: Watch, want, seconds: float = 20.0):
    end = time.monotonic() + seconds
    while not want(watch.status):
        assert time.monotonic() < end, watch.status
        time.sleep(0.01)
    return watch.status


def test_the_watch_sees_a_server_come_and_go_and_acts_on_it(local):
    watch = Watch(local, every=0.05)
    try:
        assert watch.status.info is None
        watch.do(lambda client: client.unload(), "Free memory")
        status = wait_status(watch, lambda status: status.failed is not None)
        assert status.failed.code == "server-not-running"
        connect(local)
        wait_status(watch, lambda status: status.info is not None)
        watch.do(lambda client: client.unload(), "Free memory")
        assert wait_status(watch, lambda status: not status.doing).failed is None
        watch.do(lambda client: 1 / 0, "Break")
        assert wait_status(watch, lambda status: not status.doing).failed.code == "internal-error"
        local.stop()
        wait_status(watch, lambda status: status.info is None)
    finally:
        watch.close()
    assert not watch._thread.is_alive()


def test_the_watch_tells_what_is_wrong(local):
    watch = Watch(RemoteServer("http://127.0.0.1:9", ""), every=0.05)
    try:
        status = wait_status(watch, lambda status: status.problem is not None)
        assert status.problem.code == "server-not-running"
    finally:
        watch.close()


def test_the_tail_of_a_long_log(tmp_path):
    path = tmp_path / "log"
    assert tail(path, 3) == []
    path.write_text("".join(f"line {n}\n" for n in range(10_000)))
    assert tail(path, 3) == ["line 9997", "line 9998", "line 9999"]


@pytest.mark.skipif(sys.platform == "win32", reason="process ids of others can't be asked for there")
def test_which_processes_live():
    assert is_alive(os.getpid())
    assert not is_alive(0)
    assert not is_alive(2**22 + 1)
