"""What a result does to the scene that it is put into, and what is told of it."""

import bpy

from magicanimate_blender import results
from magicanimate_blender.animation import State
from magicanimate_blender.results import uses_of
from magicanimate_blender.ui import messages


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
