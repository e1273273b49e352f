"""Part maps are drawn while the artist goes on working: in Edit Mode, undoing, deleting, cancelling."""

import time

import bpy
import numpy as np
import pytest

from magicanimate_blender.animation import State
from magicanimate_blender.raster.png import decode_labels
from magicanimate_blender.scene import scratch
from magicanimate_blender.scene.characters import find_characters
from magicanimate_blender.scene.part_maps import draw_part_map
from magicanimate_blender.ui import flow, geometry, messages, scene_facts, timer


def last(current):
    return list(current.animations.poll())[-1][0]


def sent_maps(server, animation) -> list[np.ndarray]:
    digests = server.jobs[animation.id]["body"]["tracks"]["densepose"]
    return [decode_labels(server.blobs[digest]) for digest in digests]


@pytest.fixture
def drawing(stage, current, until):
    """A job of 40 frames, some of which are drawn."""
    stage.frame_end = 40
    bpy.ops.magicanimate.animate()
    (half,) = current.drawings
    until(lambda: half.drawn >= 3)
    assert not half.done
    return half


def pump(current, seconds: float = 0.5) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        timer.pump(current)
        time.sleep(0.005)


def edit(obj: bpy.types.Object) -> None:
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode="EDIT")


@pytest.mark.parametrize("name", ["Sample Female", "Sample Female Body"])
def test_edit_mode_pauses_and_every_map_is_right(stage, current, server, drawing, finish, name):
    edit(stage.objects[name])
    pump(current, 0.3)
    paused = drawing.drawn
    pump(current, 0.5)
    assert drawing.drawn == paused < 40
    assert "is in Edit Mode" in drawing.waiting.message
    bpy.ops.magicanimate.leave_edit_mode()
    assert finish(last(current)).state is State.DONE
    maps = sent_maps(server, last(current))
    (character,) = find_characters(stage)
    for frame in (1, 12, 25, 40):
        np.testing.assert_array_equal(maps[frame - 1], draw_part_map(stage, [character], frame, 64, 64))


def test_rest_position_pauses_too(stage, current, drawing, finish):
    stage.objects["Sample Female"].data.pose_position = "REST"
    pump(current, 0.3)
    assert "Rest Position" in drawing.waiting.message
    bpy.ops.magicanimate.use_pose_position()
    assert finish(last(current)).state is State.DONE


@pytest.mark.parametrize("how", ["edit", "rest"])
def test_neither_starts_a_job(stage, current, how):
    armature = stage.objects["Sample Female"]
    if how == "edit":
        edit(armature)
    else:
        armature.data.pose_position = "REST"
    scene_facts.look_again(stage)
    with pytest.raises(RuntimeError, match="Edit Mode" if how == "edit" else "Rest Position"):
        bpy.ops.magicanimate.animate()
    assert not list(current.animations.poll())
    assert not current.drawings


def test_cancel_stops_the_drawing(stage, current, drawing, until):
    bpy.ops.magicanimate.cancel()
    until(lambda: not current.drawings)
    assert drawing.drawn < 40
    assert len(bpy.data.scenes) == 1
    until(lambda: last(current).poll().state is State.CANCELLED)


def test_cancelling_one_variation_draws_on_for_the_others(stage, current, until):
    stage.frame_end, stage.magicanimate.variations = 20, 2
    bpy.ops.magicanimate.vary()
    first, second = (animation for animation, _ in current.animations.poll())
    first.cancel()
    until(lambda: not current.drawings)
    assert len(first.missing_maps()) > 0
    assert second.missing_maps() == []


def test_undo_and_save_in_the_middle_change_no_map(stage, current, server, finish, tmp_path):
    stage.frame_end = 30
    bpy.ops.ed.undo_push(message="before")
    stage["artist"] = 1
    bpy.ops.ed.undo_push(message="an edit")
    bpy.ops.magicanimate.animate()
    (drawing,) = current.drawings
    animation = last(current)
    for at, interrupt in ((5, bpy.ops.ed.undo), (12, bpy.ops.ed.redo)):
        while drawing.drawn < at:
            timer.pump(current)
        interrupt()
        assert not [s for s in bpy.data.scenes if scratch.is_scratch(s)]
    while drawing.drawn < 20:
        timer.pump(current)
    path = tmp_path / "shot.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True)
    with bpy.data.libraries.load(str(path)) as (saved, _):
        assert saved.scenes == [bpy.context.scene.name]
        assert not [name for name in saved.objects if name.endswith(".001")]
    assert finish(animation).state is State.DONE
    maps = sent_maps(server, animation)
    (character,) = find_characters(bpy.context.scene)
    for frame in (1, 10, 30):
        np.testing.assert_array_equal(maps[frame - 1], draw_part_map(bpy.context.scene, [character], frame, 64, 64))


def test_deleting_the_character_in_the_middle_ends_the_job_with_a_sentence(stage, current, drawing, until):
    for name in ("Sample Female Body", "Sample Female"):
        bpy.data.objects.remove(stage.objects[name])
    until(lambda: not current.drawings)
    assert "There is no object" in messages.current().text
    until(lambda: last(current).poll().state is State.CANCELLED)
    assert len(bpy.data.scenes) == 1


def test_deleting_bones_in_the_middle_does_not_crash(stage, current, drawing, until):
    edit(stage.objects["Sample Female"])
    bones = stage.objects["Sample Female"].data.edit_bones
    for bone in list(bones):
        if "index" in bone.name:
            bones.remove(bone)
    bpy.ops.object.mode_set(mode="OBJECT")
    until(lambda: not current.drawings)
    assert "was edited" in messages.current().text


def test_a_pose_without_keyframes_is_said(stage, current, until):
    stage.objects["Sample Female"].pose.bones["head"].rotation_quaternion = (0.9, 0.3, 0.3, 0.0)
    flow.animate(current, stage)
    until(lambda: not current.drawings)
    assert "pose without keyframes" in messages.current().text


def test_subdivision_and_shape_keys_are_measured_once(stage, current, finish, monkeypatch):
    """Levels that differ between viewport and render, and animated shape keys, are no edits."""
    body = stage.objects["Sample Female Body"]
    body.modifiers.new("Subdivision", "SUBSURF")
    body.shape_key_add(name="Basis")
    key = body.shape_key_add(name="Fat")
    for frame in (1, 4):
        key.value = frame / 4
        key.keyframe_insert("value", frame=frame)
    geometry.forget()
    measured = []
    real = geometry.measure
    monkeypatch.setattr(geometry, "measure", lambda character: measured.append(1) or real(character))
    flow.animate(current, stage)
    finish(last(current))
    for frame in (1, 2, 3, 4):
        stage.frame_set(frame)
        stage.objects["Sample Female"].location.x += 0.1
        bpy.context.view_layer.update()
    flow.animate(current, stage)
    finish(last(current))
    assert measured == [1]


def test_nothing_is_looked_up_while_no_panel_asks(stage, current, monkeypatch):
    looked = []
    scene_facts.facts(stage)
    monkeypatch.setattr(scene_facts, "_look_up", lambda scene: looked.append(scene))
    scene_facts.mark_changed(stage)
    monkeypatch.setattr(scene_facts, "SETTLED", 0.0)
    time.sleep(0.01)
    scene_facts.refresh(stage)
    assert looked == []
    scene_facts._asked_at[stage.session_uid] = time.monotonic()  # as the panel does when it is drawn
    scene_facts.refresh(stage)
    assert looked == [stage]
