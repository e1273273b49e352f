"""What a result does to the scene that it is put into, and what is told of it."""

import os
import subprocess
import sys
from pathlib import Path

import bpy
import pytest

from magicanimate_blender import results
from magicanimate_blender.animation import State
from magicanimate_blender.client import FileProblem
from magicanimate_blender.results import uses_of
from magicanimate_blender.ui import clips, handlers, messages, runtime
from tests.magicanimate_blender.client.fake_server import TOKEN


def last(current):
    return list(current.animations.poll())[-1][0]


def test_a_view_that_cannot_be_undone_is_told_and_the_result_arrives(stage, current, finish):
    stage.view_settings.view_transform = "False Color"
    bpy.ops.magicanimate.animate()
    finish(last(current))
    assert uses_of(last(current).id).planes == 1
    assert "“False Color” can't be undone" in messages.current().text


def test_nothing_is_told_of_a_view_that_can(stage, current, finish):
    bpy.ops.magicanimate.animate()
    finish(last(current))
    assert messages.current() is None


def test_a_mistake_while_placing_is_told_and_the_result_is_kept(stage, current, finish, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise TypeError("enum not found")

    monkeypatch.setattr(results, "add_plane", broken)
    bpy.ops.magicanimate.animate()
    finish(last(current))
    assert "could not be put into the scene: enum not found" in messages.current().text
    assert "Results" in messages.current().fix
    assert current.animations.history.get(last(current).id).state is State.DONE


def test_what_a_video_strip_changes_is_told(stage, current, finish):
    stage.magicanimate.then = "STRIP"
    bpy.ops.magicanimate.animate()
    finish(last(current))
    assert uses_of(last(current).id).strips == 1
    assert not stage.render.use_sequencer
    assert "Renders show the 3D scene, as before" in messages.current().text


# The result of a job whose file was closed meanwhile


@pytest.fixture
def in_window(monkeypatch):
    """Jobs are looked for as in a window: whenever a file is opened."""
    monkeypatch.setattr(handlers, "IN_WINDOW", True)


@pytest.fixture
def running(stage, current, server, until, in_window, tmp_path):
    """A saved file with a job in the server, which does not end before `server.gate` is set: (file, job)."""
    server.gate.clear()
    bpy.ops.magicanimate.animate()
    job = last(current).id
    until(lambda: job in server.jobs)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    return tmp_path / "shot.blend", job


def planes_of(job):
    return uses_of(job).planes


def pump_deliveries(until):
    until(lambda: not runtime.runtime().deliveries)


def test_a_job_that_ends_while_another_file_is_open_is_placed_when_its_own_is(current, server, running, finish, until):
    file, job = running
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    server.gate.set()
    assert finish(last(current)).state is State.DONE
    assert planes_of(job) == 0
    bpy.ops.wm.open_mainfile(filepath=str(file))
    pump_deliveries(until)
    assert planes_of(job) == 1
    bpy.ops.wm.open_mainfile(filepath=str(file))  # without saving: so the artist does not want it there
    pump_deliveries(until)
    assert planes_of(job) == 0


def test_one_that_ended_before_blender_was_left_is_placed_by_the_next(current, server, running, finish, until):
    file, job = running
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    server.gate.set()
    finish(last(current))
    runtime.restart()
    bpy.ops.wm.open_mainfile(filepath=str(file))
    pump_deliveries(until)
    assert planes_of(job) == 1


def test_disabling_and_enabling_the_add_on_finds_the_job_again(current, server, running, finish, monkeypatch, tmp_path):
    _, job = running
    bpy.ops.preferences.addon_disable(module="magicanimate_blender")
    bpy.ops.preferences.addon_enable(module="magicanimate_blender")
    assert bpy.app.timers.is_registered(handlers._first_look)
    with monkeypatch.context() as quiet:  # the preferences were forgotten, and changing them looks for jobs, too
        quiet.setattr(handlers, "IN_WINDOW", False)
        chosen = bpy.context.preferences.addons["magicanimate_blender"].preferences
        chosen.server, chosen.url, chosen.token = "REMOTE", server.url, TOKEN
        chosen.results = str(tmp_path / "results")
        runtime.restart()
    assert runtime.active() is None
    handlers._first_look()
    server.gate.set()
    assert last(runtime.runtime()).id == job
    assert finish(last(runtime.runtime())).state is State.DONE
    assert planes_of(job) == 1


def test_a_result_that_could_not_be_written_is_placed_when_the_file_is_opened_again(
    stage, current, server, running, finish, until, monkeypatch
):
    file, job = running

    def full(*_: object) -> None:
        raise FileProblem("The disk is full", fix="Free some.", code="disk-full")

    with monkeypatch.context() as broken:
        broken.setattr(clips, "write_files", full)
        server.gate.set()
        finish(last(current))
        assert messages.current().code == "disk-full"
    assert planes_of(job) == 0
    bpy.ops.wm.open_mainfile(filepath=str(file))
    pump_deliveries(until)
    assert planes_of(job) == 1


# The same file in two Blenders


OTHER_BLENDER = """
import sys
import bpy
bpy.ops.preferences.addon_enable(module="magicanimate_blender")
from magicanimate_blender.ui import flow, runtime, timer
file, url, token, results = sys.argv[1:]
chosen = bpy.context.preferences.addons["magicanimate_blender"].preferences
chosen.server, chosen.url, chosen.token, chosen.results = "REMOTE", url, token, results
runtime.restart()
bpy.ops.wm.open_mainfile(filepath=file)
scene = bpy.context.scene
scene.frame_end = 40
animation = flow.animate(runtime.runtime(), scene)
while len(animation.missing_maps()) > 38:
    timer.pump(runtime.runtime())
while not animation.folder.record.is_file():
    pass
bpy.ops.wm.save_mainfile()
print("job", animation.id, flush=True)
sys.stdin.read()
"""


def test_the_same_file_in_a_second_blender_leaves_the_firsts_job_alone(
    stage, current, server, in_window, finish, tmp_path
):
    file = tmp_path / "shot.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(file))
    results_folder = tmp_path / "results"
    first = subprocess.Popen(
        [sys.executable, "-c", OTHER_BLENDER, str(file), server.url, TOKEN, str(results_folder)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        job = next(line.split()[1] for line in first.stdout if line.startswith("job "))
        bpy.ops.wm.open_mainfile(filepath=str(file))
        assert job in bpy.context.scene.magicanimate.jobs
        assert current.animations.get(job) is None
        assert "Another Blender looks after" in messages.current().text
        assert f"process {first.pid} on" in messages.current().text
        assert handlers.look_again() == handlers.LOOK_AGAIN
        assert current.animations.history.get(job).state is State.DRAWING
    finally:
        first.kill()
        first.wait()
    assert handlers.look_again() is None
    assert messages.current().code == "half-drawn"
    assert finish(current.animations.get(job)).state is State.CANCELLED
