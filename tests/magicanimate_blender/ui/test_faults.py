"""Each fault shows its sentence and its button; none leaves the panel stuck."""

import json

import bpy
import pytest

from magicanimate_blender.animation import State
from magicanimate_blender.ui import runtime
from magicanimate_blender.ui.panels.animate import MENDS
from magicanimate_blender.ui.preferences import Preferences
from magicanimate_blender.ui.problems import first_problem
from tests.magicanimate_blender.ui.conftest import ASSETS


def test_every_mending_button_is_an_operator(addon):
    for operator, label in MENDS.values():
        kind, _, name = operator.partition(".")
        assert label
        assert name in dir(getattr(bpy.ops, kind))


def started(scene: bpy.types.Scene):
    bpy.ops.magicanimate.animate()
    return next(animation for animation, _ in runtime.runtime().animations.poll())


def test_no_server_at_the_address(stage, preferences: Preferences, server, finish):
    server.kill()
    runtime.restart()
    now = finish(started(stage))
    assert (now.state, now.code) == (State.FAILED, "server-not-running")
    assert server.url in now.message
    assert now.code in MENDS


def test_something_else_answers_there(stage, server, finish):
    def strange(handler):
        handler.answer(200, b"<html>hello</html>", "text/html")
        return True

    server.fault = strange
    now = finish(started(stage))
    assert (now.state, now.code) == (State.FAILED, "bad-answer")
    assert now.code in MENDS


def test_a_server_that_dies_in_the_middle_is_waited_for(stage, preferences, server, current, finish, until):
    server.pace = 0.05
    animation = started(stage)
    until(lambda: animation.poll().state is State.RUNNING)
    server.kill()
    until(lambda: animation.poll().state is State.STARTING)
    assert not animation.poll().state.ended
    assert bpy.ops.magicanimate.cancel.poll()
    bpy.ops.magicanimate.cancel()
    assert finish(animation).state is State.CANCELLED


def test_weights_that_are_missing_are_named_before_starting(stage, server, current, until):
    def missing(handler):
        if handler.path != "/v1/engines":
            return False
        handler.json(200, json.loads((ASSETS / "engines.json").read_bytes()))
        return True

    server.fault = missing
    until(lambda: current.watch.status.info)
    found = first_problem(current, stage)
    assert found.operator == "magicanimate.download_weights"
    assert found.options == {"weights": "magicanimate"}


def test_downloading_needs_the_licence_accepted(stage, server, current, until):
    until(lambda: current.watch.status.weights)
    assert bpy.ops.magicanimate.download_weights(weights="demo") == {"FINISHED"}  # its licence was accepted before
    with pytest.raises(RuntimeError, match="knows no weights"):
        bpy.ops.magicanimate.download_weights(weights="others")


def test_a_start_that_fails_is_told_in_the_panel(stage, preferences, until):
    current = runtime.runtime()
    bpy.ops.magicanimate.start_server()
    until(lambda: current.task is None)
    assert current.problem.code == "server-not-installed"
    assert current.problem.code in MENDS


def test_the_servers_log_opens_as_a_text(stage, preferences):
    folder = runtime.runtime().installation.folder
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.log.write_text("one\ntwo\n")
    bpy.ops.magicanimate.show_log()
    assert bpy.data.texts["MagicAnimate Server Log"].as_string().split() == ["one", "two"]
    folder.log.unlink()
