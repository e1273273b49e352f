"""Two windows show two scenes: each has its own list, and its buttons are about the result that was drawn there."""

import bpy
import pytest

from magicanimate_blender.ui import results_list, runtime
from magicanimate_blender.ui.panels.results import MAGICANIMATE_PT_results
from magicanimate_blender.ui.settings import remember_job
from tests.magicanimate_blender.ui.panel_reader import read_panel


@pytest.fixture
def scenes(stage, current, finish):
    """The stage with three results, and a scene with one of them."""
    stage.magicanimate.then, jobs = "NOTHING", []
    for _ in range(3):
        bpy.ops.magicanimate.animate()
        jobs.append(current.animations.poll()[-1][0])
        finish(jobs[-1])
    other = bpy.data.scenes.new("Other")
    remember_job(other, jobs[0].id)
    current.forget_records()
    for scene in (stage, other):
        results_list.sync(current, scene)
    return stage, other


def beat(*scenes):
    for scene in scenes:
        results_list.sync(runtime.runtime(), scene)


def names(scene):
    return [row.name for row in results_list.list_of(scene).rows]


def test_each_scene_keeps_its_rows_and_its_selection(scenes):
    stage, other = scenes
    assert (len(names(stage)), len(names(other))) == (3, 1)
    results_list.list_of(stage).index = 2
    before = names(stage)
    for _ in range(3):
        beat(stage, other)
    assert names(stage) == before
    assert results_list.selected(stage) == before[2]
    assert results_list.selected(other) == names(other)[0]


def test_buttons_are_about_the_result_that_was_drawn(scenes, current, finish):
    """A new result comes in, and is selected, while the mouse is on its way to Delete."""
    stage, other = scenes
    results_list.list_of(stage).index = 1
    wanted = results_list.selected(stage)
    shown = read_panel(MAGICANIMATE_PT_results)
    beat(other, stage)
    bpy.ops.magicanimate.animate()
    finish(current.animations.poll()[-1][0])
    beat(stage)
    assert results_list.selected(stage) != wanted
    about = {label: getattr(options, "job", None) for label, options in shown.options.items()}
    assert {about[label] for label in ("Regenerate", "Delete", "Show", "Use As", "Open Folder")} == {wanted}
    bpy.ops.magicanimate.delete_result(job=about["Delete"])
    assert wanted not in {record.id for record in current.records()}
    assert len(current.records()) == 3


def test_more_scenes_than_lists(scenes, current):
    many = [bpy.data.scenes.new(f"Scene {number}") for number in range(results_list.LISTS)]
    for scene in many:
        results_list.sync(current, scene)
    assert results_list.selected(scenes[0]) == "" or names(scenes[0])
    beat(scenes[0])
    assert len(names(scenes[0])) == 3
    for scene in many:
        bpy.data.scenes.remove(scene)
    beat(*scenes)
    assert (len(names(scenes[0])), len(names(scenes[1]))) == (3, 1)
