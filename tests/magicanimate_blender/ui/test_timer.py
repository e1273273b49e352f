"""A mistake of ours in one thing of a beat: everything else goes on, and the artist is told once."""

import bpy
import pytest

from magicanimate_blender.animation import State
from magicanimate_blender.results import uses_of
from magicanimate_blender.ui import geometry, messages, results_list, scene_facts, thumbnails, timer
from magicanimate_blender.ui.delivery import Delivery


@pytest.fixture(autouse=True)
def forgotten(addon):
    messages._told.clear()
    messages.clear()
    yield
    messages.clear()


def broken(fault="no such luck"):
    def call(*_, **__):
        raise KeyError(fault)

    return call


def told_once(current):
    """It is told with a way out, and not again after it was dismissed."""
    message = messages.current()
    assert "no such luck" in message.text
    assert "Please report it" in message.fix
    messages.clear()
    for _ in range(3):
        timer.tick()
    assert messages.current() is None


def last(current):
    return current.animations.poll()[-1][0]


def test_a_drawing_that_breaks_ends_alone(stage, current, finish, monkeypatch):
    bpy.ops.magicanimate.animate()
    bad = last(current)
    monkeypatch.setattr(current.drawings[0], "work", broken())
    bpy.ops.magicanimate.animate()
    good = last(current)
    assert finish(good).state is State.DONE
    assert finish(bad).state is State.CANCELLED
    assert not current.drawings
    told_once(current)


@pytest.mark.parametrize("step", ["step", "place"])
def test_a_delivery_that_breaks_lets_the_next_one_through(stage, current, finish, monkeypatch, step):
    jobs = []
    for _ in range(2):
        bpy.ops.magicanimate.animate()
        jobs.append(last(current))
    whole = getattr(Delivery, step)

    def sometimes(delivery):
        return broken()() if delivery.record.id == jobs[0].id else whole(delivery)

    monkeypatch.setattr(Delivery, step, sometimes)
    for job in jobs:
        finish(job)
    assert [uses_of(job.id).planes for job in jobs] == [0, 1]
    told_once(current)


def test_a_job_whose_end_breaks_is_not_in_the_way(stage, current, finish, monkeypatch):
    monkeypatch.setattr(thumbnails, "forget", broken())
    jobs = []
    for _ in range(2):
        bpy.ops.magicanimate.animate()
        jobs.append(last(current))
    for job in jobs:
        assert finish(job).state is State.DONE
    told_once(current)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (scene_facts, "refresh"),
        (timer.engines, "learn_engines"),
        (timer.overlay, "follow"),
        (thumbnails, "load_wanted"),
    ],
)
def test_the_rest_of_a_beat_goes_on(stage, current, finish, monkeypatch, module, name):
    """Here the results are still listed. In background there is a window, too, that shows the file's scene."""
    assert bpy.context.window_manager.windows[0].scene == stage
    bpy.ops.magicanimate.animate()
    finish(last(current))
    stage.magicanimate.show_overlay = True
    monkeypatch.setattr(module, name, broken())
    timer.tick()
    assert results_list.selected(stage) == last(current).id
    told_once(current)


def test_the_heart_never_stops(stage, current, monkeypatch):
    """Blender drops a timer that raises."""
    monkeypatch.setattr(timer, "_redraw_if_changed", broken())
    assert timer.tick() == timer.IDLE
    told_once(current)


def test_drawing_the_panel_measures_nothing(stage, preferences, monkeypatch):
    """Measuring poses meshes with mirrored halves, which nothing may do while Blender draws."""
    measured = []
    whole = geometry.ready
    monkeypatch.setattr(geometry, "ready", lambda characters: measured.append(characters) or whole(characters))
    bpy.ops.magicanimate.label()
    measured.clear()
    scene_facts.forget_all()
    assert scene_facts.facts(stage).labelled
    assert measured == []
    scene_facts.refresh(stage)
    assert len(measured) == 1
