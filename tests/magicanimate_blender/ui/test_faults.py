"""Each fault shows its sentence and its button in the panel; none leaves the panel stuck."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import sys
import threading
import time

import bpy
import pytest

from magicanimate_blender.animation import Animation, State
from magicanimate_blender.client import Client, files
from magicanimate_blender.server_manager import InstallProgress
from magicanimate_blender.server_manager.folder import Notes
from magicanimate_blender.ui import runtime, timer
from magicanimate_blender.ui.mends import LOG, MENDS, PREFERENCES, mend_of
from magicanimate_blender.ui.panels.animate import MAGICANIMATE_PT_animate
from magicanimate_blender.ui.panels.server import MAGICANIMATE_PT_server
from tests.magicanimate_blender.client.fake_server import FakeServer
from tests.magicanimate_blender.ui.conftest import ASSETS, ready_engines
from tests.magicanimate_blender.ui.panel_reader import operator_of, read_panel, read_preferences


def started() -> Animation:
    bpy.ops.magicanimate.animate()
    return next(animation for animation, _ in runtime.runtime().animations.poll())


def shows(sentence: str, *buttons: str, panel: type[bpy.types.Panel] = MAGICANIMATE_PT_animate) -> None:
    shown = read_panel(panel)
    assert re.search(sentence, shown.text), shown
    for button in buttons:
        assert shown.can_press(button), (button, shown)


@pytest.fixture
def online(addon):
    system = bpy.context.preferences.system
    system.use_online_access = True
    yield
    system.use_online_access = False


def test_every_mending_button_is_an_operator(addon):
    for mend in MENDS.values():
        assert mend.label
        operator_of(mend.operator).get_rna_type()


# Before Animate can be clicked: what is missing is said, and the button below brings it.


def not_installed(folder, preferences):
    pass


def installed_in_part(folder, preferences):
    Notes("0.1.0", "", "", complete=False).save(folder.notes)


def installation_damaged(folder, preferences):
    Notes("0.1.0", "", "", complete=True).save(folder.notes)


def own_python_gone(folder, preferences):
    preferences.python = str(folder.path / "gone" / "python")


def no_address(folder, preferences):
    preferences.server = "REMOTE"


@pytest.mark.parametrize(
    ("fault", "sentence", "button"),
    [
        (not_installed, r"The server is not installed\.", "Install the Server"),
        (installed_in_part, r"The server is installed in part\.", "Go On Installing the Server"),
        (installation_damaged, r"The server's installation is damaged\.", "Install the Server Again"),
        (own_python_gone, r"There is no Python at .*g ?o ?n ?e ?/", "Open the Preferences"),
        (no_address, "No address of a server is given", "Open the Preferences"),
    ],
)
def test_there_is_no_server_to_start(stage, preferences, online, fault, sentence, button):
    folder = runtime.runtime().installation.folder
    try:
        fault(folder, preferences)
        shows(sentence, button)
        assert not bpy.ops.magicanimate.animate.poll()
    finally:
        folder.notes.unlink(missing_ok=True)


@pytest.mark.parametrize("server", ["LOCAL", "REMOTE"])
def test_blender_is_offline_and_would_have_to_go_online(stage, preferences, server):
    preferences.server, preferences.url = server, "http://192.0.2.1:8790"
    shows("not allowed to go online")
    assert read_panel(MAGICANIMATE_PT_animate).buttons["Open the Preferences"] == "screen.userpref_show"


def weights_that_are(state: str, download: dict | None = None):
    def answer(handler) -> bool:
        if handler.path == "/v1/engines":
            known = json.loads((ASSETS / "engines.json").read_bytes())
            for weights in known[0]["weight_sets"]:
                weights["state"] = state
            handler.json(200, known)
        elif handler.path == "/v1/weights":
            handler.json(200, [{
                "id": "magicanimate", "title": "MagicAnimate", "demo": False, "state": state, "size_bytes": 14,
                "licence": "BSD", "licence_url": "", "accepted": False, "download": download,
            }])  # fmt: skip
        return handler.path in ("/v1/engines", "/v1/weights")

    return answer


@pytest.mark.parametrize(("state", "said"), [("missing", "are missing"), ("invalid", "are damaged")])
def test_weights_that_are_not_ready_are_named_before_starting(stage, server, current, until, state, said):
    server.fault = weights_that_are(state)
    until(lambda: current.watch.status.info)
    shows(f"the weights {said}", "Download Them…")


def test_weights_on_their_way_show_how_far_they_are(stage, server, current, until):
    download = {"done_bytes": 5_000_000, "total_bytes": 14_000_000, "state": "downloading", "problem": None}
    server.fault = weights_that_are("missing", download)
    until(lambda: current.watch.status.info)
    shows("the weights are being downloaded")
    assert "5 MB" in read_preferences().text


def test_a_download_without_network_is_told_and_can_be_tried_again(stage, server, current, until):
    problem = {"detail": "The hub can't be reached", "fix": "Check the connection.", "code": "hub-unreachable"}
    download = {"done_bytes": 5, "total_bytes": 14, "state": "failed", "problem": problem}
    server.fault = weights_that_are("missing", download)
    until(lambda: current.watch.status.info)
    shown = read_preferences()
    assert "The hub can't be reached. Check the connection." in shown.text
    assert shown.can_press("Download…")


def test_downloading_needs_the_licence_accepted(stage, server, current, until):
    until(lambda: current.watch.status.weights)
    assert bpy.ops.magicanimate.download_weights(weights="demo") == {"FINISHED"}  # its licence was accepted before
    with pytest.raises(RuntimeError, match="knows no weights"):
        bpy.ops.magicanimate.download_weights(weights="others")


# An installation that fails: the pip behind it is tested in server_manager.


@pytest.mark.parametrize("code", ["no-network", "disk-full", "wrong-python", "internal-error"])
def test_an_installation_that_failed_can_be_gone_on_with(stage, preferences, online, monkeypatch, code):
    class Ended:
        def poll(self) -> InstallProgress:
            return InstallProgress(5, 7, "Failed", ended=True, code=code, message="It stopped here", fix="Do this.")

        def cancel(self) -> None:
            pass

    monkeypatch.setattr(runtime.runtime().installation, "_task", Ended())
    shows("It stopped here. Do this.", "Go On Installing", "Log")
    installing = [label for label, operator in read_preferences().buttons.items() if "install_server" in operator]
    assert installing == ["Go On Installing"]


def test_the_end_of_an_installation_is_seen_without_moving_the_mouse(stage, preferences, online, monkeypatch):
    """What is installed is looked up once a second: the window is drawn again when that finds something else."""
    drawn: list[bool] = []
    monkeypatch.setattr(timer, "redraw", lambda: drawn.append(True))
    current = runtime.runtime()
    timer._redraw_if_changed(current)
    drawn.clear()
    timer._redraw_if_changed(current)
    assert not drawn
    folder = current.installation.folder
    try:
        installed_in_part(folder, preferences)
        current._state_at -= 2.0
        timer._redraw_if_changed(current)
        assert drawn
    finally:
        folder.notes.unlink(missing_ok=True)


def test_an_installation_goes_on_while_preferences_change(stage, preferences, online, monkeypatch, tmp_path):
    class Running:
        cancelled = False

        def poll(self) -> InstallProgress:
            return InstallProgress(5, 7, "Installing PyTorch", ended=self.cancelled, code="cancelled")

        def cancel(self) -> None:
            self.cancelled = True

    task = Running()
    monkeypatch.setattr(runtime.runtime().installation, "_task", task)
    preferences.results = str(tmp_path / "elsewhere")
    shows("Installing PyTorch", "Cancel")
    preferences.python = sys.executable
    assert task.cancelled


# After Animate was clicked: the job fails with a sentence and a button, and Try Again goes on once it is mended.


def answers(path: str, status: int, code: str, detail: str, method: str = "GET"):
    def fault(handler) -> bool:
        if handler.command == method and path in handler.path:
            handler.problem(status, code, detail, "Mend it.")
            return True
        return ready_engines(handler)

    return fault


def no_server(server: FakeServer, monkeypatch):
    server.kill()


def something_else_answers(server: FakeServer, monkeypatch):
    server.fault = lambda handler: handler.answer(200, b"<html>hello</html>", "text/html") is None


def another_version(server: FakeServer, monkeypatch):
    info = {
        "name": "MagicAnimate", "version": "9.0.0", "api": 2, "pid": 1, "uptime_s": 1.0, "device": None,
        "worker": {"state": "idle", "pid": 2}, "queue": {"paused": False, "queued": 0, "running": 0},
        "limits": {"upload_bytes": 1, "pixels": 1, "frames": 1},
    }  # fmt: skip
    server.fault = lambda handler: handler.path == "/v1/server" and handler.json(200, info) is None


def wrong_token(server: FakeServer, monkeypatch):
    server.fault = answers("/", 401, "wrong-token", "The token is missing or wrong")


def silence(server: FakeServer, monkeypatch):
    monkeypatch.setitem(Client.__init__.__kwdefaults__, "timeout", 0.3)
    server.fault = lambda handler: time.sleep(0.6) is None


def servers_disk_full(server: FakeServer, monkeypatch):
    server.fault = answers("/v1/jobs/", 507, "disk-full", "The disk of the data folder is full", "PUT")


def own_disk_full(server: FakeServer, monkeypatch):
    real = os.replace

    def full(source, target):
        if "part_maps" in str(target) or "frames" in str(target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(source, target)

    monkeypatch.setattr(files.os, "replace", full)


def weights_gone(server: FakeServer, monkeypatch):
    server.fault = answers("/v1/jobs/", 409, "weights-missing", "The weights are missing", "PUT")


def no_network(server: FakeServer, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)


@pytest.mark.parametrize(
    ("fault", "sentence", "button"),
    [
        (no_server, "No server is running at http://127.0.0.1", "Open the Preferences"),
        (something_else_answers, "is not this add-on's server", "Open the Preferences"),
        (another_version, "speaks version 2 of the API", "Open the Preferences"),
        (wrong_token, "The token is missing or wrong", "Open the Preferences"),
        (silence, "does not answer", "Open the Preferences"),
        (no_network, "The name in .* is not known", "Open the Preferences"),
        (servers_disk_full, "The disk of the data folder is full", "Open the Preferences"),
        (own_disk_full, "The disk is full: .* does not fit into", "Open the Preferences"),
        (weights_gone, "The weights are missing", "Open the Preferences"),
    ],
)
def test_a_fault_when_animating(stage, server, current, finish, fault, sentence, button):
    port = server.port
    with pytest.MonkeyPatch.context() as patch:
        fault(server, patch)
        animation = started()
        assert finish(animation).state is State.FAILED
        shows(sentence, button, "Try Again")
    if not server.up:
        server.start(port)
    server.fault = ready_engines
    bpy.ops.magicanimate.retry(job=animation.id)
    assert finish(current.animations.poll()[-1][0]).state is State.DONE  # another job if it was half drawn


def test_a_wrong_address_is_told_before_many_maps_are_drawn(stage, server, current, finish):
    stage.frame_end = 300
    server.kill()
    animation = started()
    assert finish(animation).state is State.FAILED
    assert len(animation.missing_maps()) > 150
    timer.pump(current)
    assert not current.drawings
    shows("No server is running at http://127.0.0.1", "Open the Preferences", "Try Again")


@pytest.mark.parametrize(
    ("code", "button"),
    [("out-of-memory", "Free Memory"), ("worker-died", "Open the Preferences")],
)
def test_a_job_that_fails_in_the_server(stage, server, current, finish, until, code, button):
    until(lambda: current.watch.status.info)
    server.gate.clear()
    animation = started()
    until(lambda: animation.poll().state is State.RUNNING)
    problem = {"detail": "It went wrong there", "fix": "Mend it.", "code": code}
    server.update(server.jobs[animation.id], state="failed", problem=problem)
    assert finish(animation).state is State.FAILED
    shows("It went wrong there. Mend it.", button, "Try Again")
    server.gate.set()
    bpy.ops.magicanimate.retry(job=animation.id)
    assert finish(animation).state is State.DONE


def test_inputs_that_the_server_lost_are_sent_again(stage, server, current, finish, until):
    server.gate.clear()
    animation = started()
    until(lambda: animation.poll().state is State.RUNNING)
    server.blobs.clear()
    problem = {"detail": "An input is gone", "fix": "Send the job again.", "code": "blob-missing"}
    server.update(server.jobs[animation.id], state="failed", problem=problem)
    finish(animation)
    server.gate.set()
    bpy.ops.magicanimate.retry(job=animation.id)
    assert finish(animation).state is State.DONE
    assert set(server.jobs[animation.id]["body"]["tracks"]["densepose"]) <= server.blobs.keys()


def test_a_server_that_dies_in_the_middle_is_waited_for(stage, server, current, finish, until):
    server.gate.clear()
    animation = started()
    until(lambda: animation.poll().state is State.RUNNING)
    port = server.port
    server.kill()
    until(lambda: animation.poll().state is State.STARTING and animation.poll().code)
    shows("Looking for the server .*http://127.0.0.1", "Cancel", "Open the Preferences")
    server.gate.set()
    server.start(port)
    assert finish(animation).state is State.DONE


def test_one_that_does_not_come_back_can_be_cancelled(stage, server, current, finish, until):
    server.gate.clear()
    animation = started()
    until(lambda: animation.poll().state is State.RUNNING)
    server.kill()
    until(lambda: animation.poll().state is State.STARTING)
    bpy.ops.magicanimate.cancel()
    assert finish(animation).state is State.CANCELLED


def test_the_panel_never_waits_for_a_silent_server(stage, server, current, until):
    """Every beat, every drawing of the panel and another address return while each request hangs."""
    silent, asked = threading.Event(), threading.Event()
    server.fault = lambda handler: asked.set() or silent.wait(20)
    try:
        animation, slowest = started(), 0.0
        until(lambda: asked.is_set() and animation.poll().state is State.STARTING)  # all is drawn
        for _ in range(20):
            begin = time.monotonic()
            timer.pump(runtime.runtime())
            read_panel(MAGICANIMATE_PT_animate)
            read_panel(MAGICANIMATE_PT_server)
            slowest = max(slowest, time.monotonic() - begin)
            time.sleep(0.01)
        assert animation.poll().state is State.STARTING
        assert bpy.ops.magicanimate.cancel.poll()
        begin = time.monotonic()
        runtime.restart()  # as when its address is changed
        assert max(slowest, time.monotonic() - begin) < 1.0
    finally:
        silent.set()


# Starting it, and its log.


def test_a_start_that_fails_is_told_in_the_panel(stage, preferences, online, until):
    current = runtime.runtime()
    bpy.ops.magicanimate.start_server()
    until(lambda: current.task is None)
    shows("The server is not installed. Install it in", "Install the Server")
    assert "Dismiss" in read_panel(MAGICANIMATE_PT_animate).buttons
    bpy.ops.magicanimate.dismiss()
    assert current.problem is None


def test_buttons_fit_whose_server_it_is(preferences):
    assert mend_of("worker-died") == LOG
    assert mend_of("wrong-version").label == "Upgrade the Server"
    preferences.python = sys.executable
    assert (mend_of("worker-died"), mend_of("wrong-version")) == (LOG, PREFERENCES)
    preferences.server = "REMOTE"
    assert (mend_of("worker-died"), mend_of("wrong-version")) == (PREFERENCES, PREFERENCES)
    assert mend_of("nobody-knows") is None


def test_the_logs_open_as_a_text(stage, preferences):
    folder = runtime.runtime().installation.folder
    for path, said in ((folder.log, "said: 1\nsaid: 2\n"), (folder.worker_log, "said: 3\n")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(said)
    bpy.ops.magicanimate.show_log()
    text = bpy.data.texts["MagicAnimate Server Log"].as_string()
    assert re.findall(r"said: (\d)", text) == ["1", "2", "3"]
    folder.log.unlink()
    folder.worker_log.unlink()
    bpy.ops.magicanimate.show_log()
    assert "There is no log yet" in bpy.data.texts["MagicAnimate Server Log"].as_string()
