"""The same faults with the server itself: killed in the middle, another version, another token, a full disk."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import bpy
import pytest

from magicanimate_blender.animation import State
from magicanimate_blender.results import uses_of
from magicanimate_blender.ui import engine_settings, flow, runtime
from magicanimate_blender.ui.panels.animate import MAGICANIMATE_PT_animate
from magicanimate_blender.ui.preferences import Preferences
from tests.magicanimate_blender.ui.panel_reader import read_panel

pytest.importorskip("fastapi", reason="the server's packages are not installed")
pytest.importorskip("torch", reason="the server's packages are not installed")


def last():
    return runtime.runtime().animations.poll()[-1][0]


@pytest.fixture
def stage(stage: bpy.types.Scene) -> bpy.types.Scene:
    flow.choose_weights(stage, "demo")
    engine_settings.assign(stage, {"steps": 20})
    return stage


def shows(sentence: str, *buttons: str) -> None:
    shown = read_panel(MAGICANIMATE_PT_animate)
    assert re.search(sentence, shown.text), shown
    assert all(shown.can_press(button) for button in buttons), shown


@pytest.fixture
def local(preferences: Preferences, monkeypatch: pytest.MonkeyPatch):
    """The server of this checkout, started by the add-on when it is needed."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    preferences.python = sys.executable
    yield preferences
    preferences.server, preferences.python = "LOCAL", sys.executable
    runtime.runtime().server.stop_any()


@pytest.mark.slow
def test_killed_in_the_middle_it_is_started_again_and_the_job_goes_on(stage, local, finish, until):
    bpy.ops.magicanimate.animate()
    animation = last()
    until(lambda: animation.poll().title == "Animating" and animation.poll().step >= 1, 60)
    info = runtime.runtime().installation.folder.data / "server.json"
    os.kill(json.loads(info.read_text())["pid"], signal.SIGKILL)
    until(lambda: animation.poll().state is State.STARTING)
    shows("Starting|Looking", "Cancel")
    assert finish(animation, 60).state is State.DONE
    assert uses_of(animation.id).planes == 1


def test_an_older_server_than_the_add_on_needs_is_refused(stage, local, finish, tmp_path, monkeypatch):
    wheel = tmp_path / "magicanimate_inference_server-99.0.0-py3-none-any.whl"
    monkeypatch.setattr(runtime, "server_wheel", lambda: wheel)
    runtime.restart()
    bpy.ops.magicanimate.animate()
    assert finish(last()).state is State.FAILED
    shows("this add-on needs 99.0.0", "Open the Preferences", "Try Again")


def test_a_wrong_token_is_told_and_the_right_one_mends_it(stage, local, finish, until):
    bpy.ops.magicanimate.start_server()
    until(lambda: runtime.runtime().task is None, 30)
    folder = runtime.runtime().installation.folder.data
    local.url, local.token = json.loads((folder / "server.json").read_text())["url"], "x" * 32
    local.server = "REMOTE"
    bpy.ops.magicanimate.animate()
    job = last().id
    assert finish(last()).state is State.FAILED
    shows("The token is missing or wrong", "Open the Preferences", "Try Again")
    local.token = (folder / "token").read_text().strip()
    bpy.ops.magicanimate.retry(job=job)
    until(lambda: last().poll().state in (State.QUEUED, State.RUNNING))
    bpy.ops.magicanimate.cancel()
    assert finish(last()).state is State.CANCELLED


def test_the_servers_disk_is_full(stage, preferences, finish, tmp_path):
    data = tmp_path / "data"
    reserve = str(2**40)  # more MiB than any disk has
    command = [sys.executable, "-m", "inference_server", "serve", "--port", "0", "--data-dir", str(data)]
    process = subprocess.Popen([*command, "--disk-reserve", reserve], stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 30
        while not (data / "server.json").is_file():
            assert time.monotonic() < end
            time.sleep(0.02)
        preferences.url = json.loads((data / "server.json").read_text())["url"]
        preferences.token = (data / "token").read_text().strip()
        preferences.server = "REMOTE"
        bpy.ops.magicanimate.animate()
        assert finish(last(), 60).state is State.FAILED
        shows("The disk of the data folder.* is full", "Open the Preferences", "Try Again")
    finally:
        process.terminate()
        process.wait(20)
