"""From a click to a plane in the scene, against a scripted server."""

import shutil
import threading
import time
from pathlib import Path

import bpy
import numpy as np
import pytest

from magicanimate_blender.animation import State
from magicanimate_blender.animation.presets import DRAFT, FINAL, ROUGH
from magicanimate_blender.raster.png import decode_labels
from magicanimate_blender.results import uses_of
from magicanimate_blender.scene.characters import find_characters
from magicanimate_blender.scene.errors import SceneError
from magicanimate_blender.scene.part_maps import part_maps
from magicanimate_blender.ui import (
    clips,
    delivery,
    engine_settings,
    flow,
    handlers,
    live_preview,
    messages,
    results_list,
    runtime,
    timer,
)
from magicanimate_blender.ui.mends import mend_of
from magicanimate_blender.ui.request import marked_frames


def last(current):
    return list(current.animations.poll())[-1][0]


def test_animate_ends_with_a_plane_that_plays(stage, current, finish):
    bpy.ops.magicanimate.animate()
    animation = last(current)
    assert finish(animation).state is State.DONE
    uses = uses_of(animation.id)
    assert (uses.planes, uses.images) == (1, 1)
    plane = next(obj for obj in bpy.data.objects if "demo weights" in obj.name)
    node = next(n for n in plane.data.materials[0].node_tree.nodes if n.type == "TEX_IMAGE")
    assert (node.image_user.frame_start, node.image_user.frame_duration) == (1, 4)


def test_the_server_gets_exactly_the_scenes_part_maps(stage, current, server, finish):
    stage.frame_set(3)
    bpy.ops.magicanimate.animate()
    animation = last(current)
    finish(animation)
    sent = [server.blobs[digest] for digest in server.jobs[animation.id]["body"]["tracks"]["densepose"]]
    assert stage.frame_current == 3
    for (_, expected), png in zip(part_maps(stage, find_characters(stage), range(1, 5), 64, 64), sent, strict=True):
        np.testing.assert_array_equal(decode_labels(png), expected)


def test_settings_and_times_reach_the_server(stage, current, server, finish):
    engine_settings.assign(stage, {"steps": 7, "seed": 42})
    stage.render.fps, stage.magicanimate.frame_step = 30, 2
    bpy.ops.magicanimate.animate()
    finish(last(current))
    body = server.jobs[last(current).id]["body"]
    assert (body["settings"]["steps"], body["settings"]["seed"], body["fps"]) == (7, 42, 15.0)
    assert (len(body["tracks"]["densepose"]), body["consent"]) == (2, True)


@pytest.mark.parametrize(
    ("then", "use"), [("COMPOSITOR", "compositor_nodes"), ("STRIP", "strips"), ("IMAGE", "images"), ("NOTHING", None)]
)
def test_the_result_goes_where_the_panel_says(stage, current, finish, then, use):
    stage.magicanimate.then = then
    bpy.ops.magicanimate.animate()
    finish(last(current))
    uses = uses_of(last(current).id)
    assert uses.planes == 0
    assert getattr(uses, use) == 1 if use else not uses


def test_regenerating_renews_the_plane_in_place(stage, current, server, finish):
    bpy.ops.magicanimate.animate()
    first = last(current)
    finish(first)
    plane = next(obj for obj in bpy.data.objects if "demo weights" in obj.name)
    place = plane.matrix_world.copy()
    stage.objects["Sample Female"].pose.bones["left_shoulder"].rotation_quaternion = (1, 0, 0, 0)
    stage.objects["Sample Female"].pose.bones["left_shoulder"].keyframe_insert("rotation_quaternion", frame=2)
    flow.regenerate(current, stage, first.record)
    second = last(current)
    finish(second)
    assert server.jobs[second.id]["body"]["base_job"] == first.id
    assert not uses_of(first.id)
    assert uses_of(second.id).planes == 1
    assert plane.matrix_world == place


def test_marked_frames_are_sent(stage, current, server, finish):
    bpy.ops.magicanimate.animate()
    first = last(current)
    finish(first)
    stage.magicanimate.redo, stage.magicanimate.keep = "2-3", "4"
    bpy.ops.magicanimate.regenerate(job=first.id)
    finish(last(current))
    body = server.jobs[last(current).id]["body"]
    assert (body["redo"], body["keep"]) == ([1, 2], [3])


@pytest.mark.parametrize("text", ["x", "1-", "99"])
def test_marks_that_are_no_frames_are_told(stage, current, text):
    bpy.ops.magicanimate.animate()
    with pytest.raises(SceneError):
        marked_frames(text, last(current).spec)


def test_variations_share_their_maps_and_one_is_promoted(stage, current, server, finish):
    stage.magicanimate.variations = 3
    bpy.ops.magicanimate.vary()
    jobs = [animation for animation, _ in current.animations.poll()]
    for animation in jobs:
        finish(animation)
    assert len({animation.spec.settings["seed"] for animation in jobs}) == 3
    assert len({animation.record.maps for animation in jobs}) == 1
    assert not any(uses_of(animation.id) for animation in jobs)
    bpy.ops.magicanimate.promote(job=jobs[1].id)
    finish(last(current))
    assert last(current).spec.settings["seed"] == jobs[1].spec.settings["seed"]
    assert last(current).spec.settings["steps"] > jobs[1].spec.settings["steps"]


def test_a_rough_is_promoted_to_the_full_size(stage, current, finish):
    stage.magicanimate.width = stage.magicanimate.height = 128
    flow.use_preset(stage, ROUGH)
    stage.magicanimate.size_share = 0.5
    bpy.ops.magicanimate.vary()
    rough = last(current)
    finish(rough)
    bpy.ops.magicanimate.promote(job=rough.id)
    final = last(current)
    finish(final)
    assert [(each.spec.width, each.spec.height) for each in (rough, final)] == [(64, 64), (128, 128)]
    assert final.spec.settings == {**rough.spec.settings, **FINAL.settings}


def test_a_preview_takes_the_neighbours_along(stage, current, server, finish):
    stage.frame_set(20)
    bpy.ops.magicanimate.preview_frame()
    spec = last(current).spec
    assert (spec.frame_start, spec.frames) == (12, 16)
    assert spec.settings == {**engine_settings.values(stage), **DRAFT.settings}


def test_a_preview_is_shown_in_the_panel_only(stage, current, finish):
    bpy.ops.magicanimate.preview_frame()
    first = last(current)
    finish(first)
    assert not uses_of(first.id)
    results_list.sync(current, stage)
    assert len(results_list.list_of(stage).rows) == 0
    bpy.ops.magicanimate.preview_frame()
    assert not first.folder.path.exists()


def test_live_previews_follow_the_scene_but_not_themselves(stage, current, finish, monkeypatch):
    monkeypatch.setattr(live_preview, "PAUSE", 0.0)
    stage.magicanimate.live_preview = True

    def previewed():
        """Whether a preview was started within some beats; its end is waited for."""
        before = [animation.id for animation, _ in current.animations.poll()]
        for _ in range(60):
            timer.pump(current)
            live_preview.consider(current, bpy.context.scene)
            time.sleep(0.005)
        started = [animation for animation, _ in current.animations.poll() if animation.id not in before]
        for animation in started:
            finish(animation)
        return bool(started)

    stage.frame_set(3)
    assert previewed()
    assert not previewed()
    stage.objects["Sample Female"].pose.bones["left_shoulder"].rotation_quaternion = (1, 0.5, 0, 0)
    bpy.context.view_layer.update()
    assert previewed()
    assert not previewed()


def test_what_changed_is_told_before_regenerating(stage, current, server, finish):
    stage.frame_end = 14
    bpy.ops.magicanimate.animate()
    first = last(current)
    finish(first)
    jobs = len(server.jobs)

    def plan():
        bpy.ops.magicanimate.check_changes(job=first.id)
        while current.drawings:
            timer.pump(current)
        return current.plans[first.id]

    assert plan().startswith("Nothing changed")
    bone = stage.objects["Sample Female"].pose.bones["left_shoulder"]
    bone.rotation_quaternion = (1, 0.5, 0, 0)
    bone.keyframe_insert("rotation_quaternion", frame=1)
    assert "of 14 frames will be computed" in plan()
    engine_settings.assign(stage, {"seed": 77})
    assert plan() == "All 14 frames will be computed: another seed"
    assert len(server.jobs) == jobs


def test_cancel_then_try_again(stage, current, server, finish):
    server.pace = 0.2
    bpy.ops.magicanimate.animate()
    animation = last(current)
    bpy.ops.magicanimate.cancel()
    assert finish(animation).state is State.CANCELLED
    server.pace = 0.002
    bpy.ops.magicanimate.retry(job=animation.id)
    assert finish(last(current)).state is State.DONE


def test_a_pose_without_keys_outlives_the_drawing(stage, current, finish):
    bone = stage.objects["Sample Female"].pose.bones["head"]
    bone.rotation_quaternion = (0.9, 0.3, 0.3, 0.0)
    before = bone.matrix_basis.copy()
    bpy.ops.magicanimate.animate()
    finish(last(current))
    assert bone.matrix_basis == before


def test_a_deleted_character_ends_the_job_with_a_sentence(stage, current, finish):
    bpy.ops.magicanimate.animate()
    animation = last(current)
    bpy.data.objects.remove(stage.objects["Sample Female"])
    assert finish(animation).state is State.CANCELLED
    assert "Sample Female" in messages.current().text


def test_a_renamed_scene_still_gets_its_result(stage, current, finish):
    bpy.ops.magicanimate.animate()
    stage.name = "Another name"
    finish(last(current))
    assert uses_of(last(current).id).planes == 1


def test_undo_does_not_lose_the_job(stage, current, finish):
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.magicanimate.animate()
    animation = last(current)
    handlers.after_change(stage)
    bpy.ops.ed.undo_push(message="after")
    bpy.ops.ed.undo()
    finish(animation)
    assert animation.id in bpy.context.scene.magicanimate.jobs
    assert uses_of(animation.id).planes == 1


def test_undo_takes_back_a_delivery_and_nothing_else(stage, current, finish):
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.magicanimate.animate()
    animation = last(current)
    stage.objects["Sample Female"].location.x = 3.0
    bpy.ops.ed.undo_push(message="what the person did meanwhile")
    finish(animation)
    assert uses_of(animation.id).planes == 1
    bpy.ops.ed.undo()
    assert not uses_of(animation.id)
    assert bpy.context.scene.objects["Sample Female"].location.x == 3.0
    bpy.ops.ed.redo()
    assert uses_of(animation.id).planes == 1


def test_what_is_not_delivered_makes_no_undo_step(stage, current, finish):
    bpy.ops.ed.undo_push(message="before")
    stage.objects["Sample Female"].location.x = 3.0
    bpy.ops.ed.undo_push(message="after")
    bpy.ops.magicanimate.preview_frame()
    finish(last(current))
    bpy.ops.ed.undo()
    assert bpy.context.scene.objects["Sample Female"].location.x == 0.0


def test_a_delivery_that_fails_is_told(stage, current, finish, monkeypatch):
    def fail(*_):
        raise SceneError("There is no room.", "Make some.")

    monkeypatch.setattr(delivery.Delivery, "place", fail)
    bpy.ops.magicanimate.animate()
    finish(last(current))
    assert (messages.current().text, messages.current().fix) == ("There is no room.", "Make some.")


def test_files_that_cannot_be_written_are_told(stage, current, finish, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    (tmp_path / "magicanimate").write_text("no folder")
    bpy.ops.magicanimate.animate()
    finish(last(current))
    assert "magicanimate" in messages.current().text
    assert not uses_of(last(current).id)


@pytest.fixture
def slow_disk(monkeypatch):
    """Files of a delivery are written once this is set."""
    gate, write = threading.Event(), clips.write_files

    def wait_and_write(*args):
        gate.wait(20)
        write(*args)

    monkeypatch.setattr(clips, "write_files", wait_and_write)
    yield gate
    gate.set()


def test_a_file_saved_during_a_delivery_gets_the_frames_beside_it(stage, current, until, finish, slow_disk, tmp_path):
    bpy.ops.magicanimate.animate()
    until(lambda: current.deliveries)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    slow_disk.set()
    finish(last(current))
    image = next(image for image in bpy.data.images if "demo weights" in image.name)
    assert image.filepath == f"//magicanimate/{last(current).id}/frames/000001.png"
    assert Path(bpy.path.abspath(image.filepath)).exists()


def test_another_file_opened_during_a_delivery_gets_nothing(stage, current, until, finish, slow_disk):
    bpy.ops.magicanimate.animate()
    until(lambda: current.deliveries)
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    slow_disk.set()
    finish(last(current))
    assert not uses_of(last(current).id)


def test_no_beat_of_a_delivery_looks_at_more_than_one_frame(stage, current, finish):
    """So the window stays alive, however long the clip is."""
    stage.magicanimate.then = "NOTHING"
    bpy.ops.magicanimate.animate()
    finish(last(current))
    current.depths.clear()  # as in a later session
    looked: list[int] = []
    put = delivery.Delivery(current, last(current).record, stage, "PLANE")
    handler = lambda scene, *_: looked.append(scene.frame_current)  # noqa: E731
    bpy.app.handlers.frame_change_pre.append(handler)
    beats = []
    try:
        ready = False
        while not ready:
            ready = put.step()
            beats.append(set(looked) - {stage.frame_current})
            looked.clear()
    finally:
        bpy.app.handlers.frame_change_pre.remove(handler)
    assert all(len(frames) <= 1 for frames in beats)
    assert set().union(*beats) == {2, 3, 4}
    assert put.place()


def test_two_jobs_wait_for_each_other(stage, current, finish):
    bpy.ops.magicanimate.animate()
    bpy.ops.magicanimate.animate()
    for animation, _ in current.animations.poll():
        assert finish(animation).state is State.DONE
    older, newer = (obj for obj in stage.objects if "demo weights" in obj.name)
    eye = stage.camera.matrix_world.translation
    bpy.context.view_layer.update()
    assert (newer.matrix_world.translation - eye).length < (older.matrix_world.translation - eye).length


def test_another_file_lets_the_job_go_on_and_the_own_file_finds_it(stage, current, server, finish, tmp_path):
    server.pace = 0.1
    bpy.ops.magicanimate.animate()
    animation = last(current)
    while animation.missing_maps():
        runtime.runtime().drawings[0].work()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    finish(animation)
    assert not uses_of(animation.id)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    results_list.sync(current, bpy.context.scene)
    assert [row.name for row in results_list.list_of(bpy.context.scene).rows] == [animation.id]
    bpy.ops.magicanimate.use_result(kind="PLANE")
    assert uses_of(animation.id).planes == 1


def test_a_file_closed_while_drawing_cancels_the_job(stage, current, finish):
    bpy.ops.magicanimate.animate()
    animation = last(current)
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    assert finish(animation).state is State.CANCELLED


def test_the_file_that_is_opened_says_that_a_job_was_cancelled(stage, current, finish):
    bpy.ops.magicanimate.animate()
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    assert last(current).spec.name in messages.current().text
    assert finish(last(current)).state is State.CANCELLED


def test_a_job_that_had_all_its_maps_goes_on_in_the_next_blender(stage, current, server, until, finish):
    server.pace = 0.1
    bpy.ops.magicanimate.animate()
    job = last(current).id
    until(lambda: job in server.jobs)
    runtime.restart()  # nothing but what is on disk and in the server
    handlers.resume_jobs(runtime.runtime())
    assert finish(last(runtime.runtime())).state is State.DONE
    assert last(runtime.runtime()).id == job
    assert uses_of(job).planes == 1
    assert messages.current() is None


def test_a_job_that_was_being_drawn_is_told_of_in_the_next_blender(stage, current, until, finish):
    stage.frame_end = 40
    bpy.ops.magicanimate.animate()
    until(lambda: len(last(current).missing_maps()) < 38)
    runtime.restart()
    handlers.resume_jobs(runtime.runtime())
    assert finish(last(runtime.runtime())).state is State.CANCELLED
    assert (messages.current().code, mend_of(messages.current().code).operator) == (
        "half-drawn",
        "magicanimate.animate",
    )
    bpy.ops.magicanimate.animate()
    assert messages.current() is None


def test_used_results_lie_beside_a_saved_file(stage, current, finish, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.magicanimate.animate()
    animation = last(current)
    finish(animation)
    image = next(image for image in bpy.data.images if "demo weights" in image.name)
    assert image.filepath == f"//magicanimate/{animation.id}/frames/000001.png"


def used_paths():
    images = {image.filepath for image in bpy.data.images if "demo weights" in image.name}
    return images | {strip.directory.rstrip("/") for strip in bpy.context.scene.sequence_editor.strips_all}


@pytest.mark.skipif(bpy.app.version < (4, 4), reason="strips were sequences; the same code reads both")
def test_results_of_an_unsaved_file_move_in_beside_it_when_it_is_saved(stage, current, finish, tmp_path):
    stage.magicanimate.cut_out = True
    bpy.ops.magicanimate.animate()
    job = last(current).id
    finish(last(current))
    bpy.ops.magicanimate.use_result(job=job, kind="STRIP")
    outside = used_paths()
    assert all(path.startswith(str(tmp_path)) for path in outside)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "copy" / "a.blend"), copy=True)
    assert used_paths() == outside
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    folder = f"//magicanimate/{job}"
    assert used_paths() == {f"{folder}/frames/000001.png", f"{folder}/mattes/000001.png", f"{folder}/frames"}
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    for path in used_paths():
        assert Path(bpy.path.abspath(path)).exists()


@pytest.mark.skipif(bpy.app.version < (4, 4), reason="strips were sequences; the same code reads both")
def test_a_file_that_is_saved_elsewhere_takes_its_results_along_and_both_can_be_moved(stage, current, finish, tmp_path):
    here, there, moved = (tmp_path / name for name in ("here", "shots/there", "moved"))
    for folder in (here, there):
        folder.mkdir(parents=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(here / "a.blend"))
    stage.magicanimate.cut_out = True
    bpy.ops.magicanimate.animate()
    job = last(current).id
    finish(last(current))
    for kind in ("STRIP", "COMPOSITOR"):
        bpy.ops.magicanimate.use_result(job=job, kind=kind)
    folder = f"//magicanimate/{job}"
    beside = {f"{folder}/frames/000001.png", f"{folder}/mattes/000001.png", f"{folder}/frames"}
    assert used_paths() == beside
    bpy.ops.wm.save_as_mainfile(filepath=str(there / "copy.blend"), copy=True)
    assert used_paths() == beside
    assert all(Path(bpy.path.abspath(path)).is_relative_to(here) for path in used_paths())
    bpy.ops.wm.save_as_mainfile(filepath=str(there / "b.blend"))
    assert used_paths() == beside
    shutil.rmtree(here)
    there.rename(moved)
    for name in ("b.blend", "copy.blend"):
        bpy.ops.wm.open_mainfile(filepath=str(moved / name))
        assert used_paths() == beside
        uses = uses_of(job)
        assert (uses.planes, uses.compositor_nodes, uses.strips) == (1, 1, 1)
        for path in used_paths():
            assert Path(bpy.path.abspath(path)).is_relative_to(moved)
            assert Path(bpy.path.abspath(path)).exists()
        bpy.context.scene.frame_set(2)
        assert all(image.has_data or image.pixels[0] >= 0 for image in bpy.data.images if "demo weights" in image.name)


def test_deleting_a_result_leaves_nothing(stage, current, finish, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    stage.magicanimate.cut_out = True
    bpy.ops.magicanimate.animate()
    animation = last(current)
    finish(animation)
    bpy.ops.magicanimate.delete_result(job=animation.id)
    assert not uses_of(animation.id)
    assert not animation.folder.path.exists()
    assert not (tmp_path / "magicanimate" / animation.id).exists()
    assert not stage.magicanimate.jobs
    assert [image.name for image in bpy.data.images if "demo weights" in image.name] == []


def test_the_figure_is_cut_out_on_request(stage, current, finish):
    stage.magicanimate.cut_out = True
    bpy.ops.magicanimate.animate()
    finish(last(current))
    assert sum(1 for image in bpy.data.images if "demo weights" in image.name) == 2


@pytest.mark.parametrize("code", ["disk-full", "out-of-memory"])
def test_a_failure_in_the_server_is_told_in_its_own_words(stage, current, server, finish, code):
    def fail(handler):
        if handler.command == "PUT" and "/jobs/" in handler.path:
            handler.problem(507, code, "It is full", "Make room.")
            return True
        return False

    server.fault = fail
    bpy.ops.magicanimate.animate()
    now = finish(last(current))
    assert (now.state, now.message, now.fix, now.code) == (State.FAILED, "It is full", "Make room.", code)


def test_a_wrong_token_is_told(stage, preferences, server, finish):
    preferences.token = "wrong"
    current = runtime.runtime()
    bpy.ops.magicanimate.animate()
    now = finish(last(current))
    assert (now.state, now.code) == (State.FAILED, "wrong-token")
