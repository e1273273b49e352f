"""Deleting a result: said before, undone as one step, and never the files that somebody else needs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import bpy
import pytest
from PIL import Image

from magicanimate_blender.results import uses_of
from magicanimate_blender.ui import clips, deletion, messages
from magicanimate_blender.ui.operators.results import MAGICANIMATE_OT_delete_result
from tests.magicanimate_blender.ui.panel_reader import Layout, Shown

FRAME, MATTE = (2, 2), (64, 64)
"""Sizes of the scripted server's frames, and of the part maps."""
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def shot(stage, tmp_path):
    """The stage, saved uncompressed, so that other .blend files can be read."""
    bpy.context.preferences.filepaths.use_file_compression = False
    save(tmp_path / "shot.blend")
    return tmp_path / "shot.blend"


def save(path=None, **options):
    if path is None:
        bpy.ops.wm.save_mainfile()
    else:
        bpy.ops.wm.save_as_mainfile(filepath=str(path), **options)


@pytest.fixture
def result(shot, current, finish):
    """Id of a finished result that the file shows on a plane, cut out."""
    bpy.context.scene.magicanimate.cut_out = True
    bpy.ops.magicanimate.animate()
    animation = current.animations.poll()[-1][0]
    finish(animation)
    bpy.ops.ed.undo_push(message="the state to come back to")
    return animation.id


def delete(job):
    """As a button does it, with its undo step."""
    assert bpy.ops.magicanimate.delete_result("EXEC_DEFAULT", True, job=job) == {"FINISHED"}


def files_of(current, job):
    """Contents of the result's folder and of its copy beside the file, by path."""
    folders = [current.animations.history.folder(job).path]
    if bpy.data.filepath:
        folders.append(Path(bpy.data.filepath).parent / "magicanimate" / job)
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def pictures(job):
    """Sizes of the pictures that the images that show it play."""
    paths = {bpy.path.abspath(i.filepath) for i in bpy.data.images if i.get("magicanimate_clip") == job}
    return sorted(Image.open(path).size for path in paths)


def nothing_in_trash(current):
    roots = [current.animations.history.root, Path(bpy.data.filepath).parent / "magicanimate"]
    return not any(path.is_file() for root in roots for path in (root / ".trash").rglob("*"))


def test_undo_brings_back_the_result_and_nothing_else(result, current, shot):
    cube = bpy.data.objects.new("Made before", None)
    bpy.context.scene.collection.objects.link(cube)
    bpy.ops.ed.undo_push(message="add")
    before = files_of(current, result)
    assert len(before) > 4 * 4
    delete(result)
    assert not uses_of(result)
    assert files_of(current, result) == {}
    assert result not in [record.id for record in current.records()]
    bpy.ops.ed.undo()
    assert "Made before" in bpy.data.objects
    assert files_of(current, result) == before
    assert uses_of(result).planes == 1
    assert pictures(result) == [FRAME, MATTE]
    assert result in [record.id for record in current.records()]
    assert result in bpy.context.scene.magicanimate.jobs
    assert nothing_in_trash(current)


def test_redo_deletes_again_and_the_job_is_not_remembered(result, current):
    delete(result)
    bpy.ops.ed.undo()
    bpy.ops.ed.redo()
    assert not uses_of(result)
    assert files_of(current, result) == {}
    assert result not in bpy.context.scene.magicanimate.jobs
    bpy.ops.ed.undo()
    assert len(files_of(current, result)) > 16


def test_undo_to_before_the_job_does_not_delete_it(result, current):
    before = files_of(current, result)
    delete(result)
    bpy.ops.ed.undo()
    while bpy.ops.ed.undo.poll() and uses_of(result):
        bpy.ops.ed.undo()
    assert files_of(current, result) == before


def test_saving_makes_it_final_and_undo_then_says_so(result, current, shot):
    delete(result)
    save(shot.with_name("copy.blend"), copy=True)
    assert not nothing_in_trash(current)
    save()
    assert nothing_in_trash(current)
    assert result.encode() not in shot.read_bytes()
    messages.clear()
    bpy.ops.ed.undo()
    assert "deleted for good when the file was saved" in messages.current().text


def test_closing_without_saving_keeps_what_the_file_on_disk_shows(result, current, shot):
    save()
    before = files_of(current, result)
    delete(result)
    bpy.ops.wm.open_mainfile(filepath=str(shot))
    assert files_of(current, result) == before
    assert uses_of(result).planes == 1
    assert pictures(result) == [FRAME, MATTE]


def test_closing_deletes_what_no_file_on_disk_knows(stage, current, finish):
    bpy.ops.magicanimate.animate()
    animation = current.animations.poll()[-1][0]
    finish(animation)
    delete(animation.id)
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    assert not animation.folder.path.exists()
    assert not (current.animations.history.root / ".trash").exists()


def test_files_that_another_blend_shows_stay_and_it_is_said(result, current, shot):
    save()
    other = shot.with_name("shot_v002.blend")
    save(other)
    copies = shot.parent / "magicanimate" / result
    before = {path: path.read_bytes() for path in copies.rglob("*.png")}
    assert len(before) == 8
    plan = deletion.plan(current, current.record(result))
    assert any("The copies beside this file stay: shot.blend may show them" in s for s in plan.sentences())
    delete(result)
    save()
    assert {path: path.read_bytes() for path in copies.rglob("*.png")} == before
    assert not current.animations.history.folder(result).path.exists()
    bpy.ops.wm.open_mainfile(filepath=str(shot))
    assert pictures(result) == [FRAME, MATTE]


def test_copies_go_when_the_other_file_no_longer_shows_them(result, current, shot):
    save()
    save(shot.with_name("shot_v002.blend"))
    for image in [image for image in bpy.data.images if "magicanimate_clip" in image]:
        bpy.data.images.remove(image)
    for obj in [obj for obj in bpy.data.objects if "magicanimate_clip" in obj]:
        bpy.data.objects.remove(obj)
    bpy.ops.outliner.orphans_purge(do_recursive=True)
    save()
    save()  # its backup does not show them either
    bpy.ops.wm.open_mainfile(filepath=str(shot))
    delete(result)
    assert not (shot.parent / "magicanimate" / result).exists()


def test_a_retouched_copy_stays(result, current, shot):
    frame = shot.parent / "magicanimate" / result / "frames/000002.png"
    frame.write_bytes(frame.read_bytes() + b"retouched")
    retouched = frame.read_bytes()
    plan = deletion.plan(current, current.record(result))
    assert any("000002.png beside this file stays" in sentence for sentence in plan.sentences())
    bpy.ops.magicanimate.use_result(job=result, kind="STRIP")
    assert frame.read_bytes() == retouched
    delete(result)
    save()
    assert list(frame.parent.parent.rglob("*.png")) == [frame]
    assert frame.read_bytes() == retouched


def test_what_somebody_put_into_the_results_folder_stays(result, current):
    notes = current.animations.history.folder(result).path / "notes.txt"
    notes.write_text("mine")
    delete(result)
    save()
    assert notes.read_text() == "mine"
    assert list(notes.parent.iterdir()) == [notes]


def test_a_result_that_another_file_shows_from_the_results_folder_is_not_deleted(result, current, preferences, shot):
    preferences.beside_file = False
    current = deletion.runtime.runtime()
    bpy.ops.magicanimate.use_result(job=result, kind="IMAGE")
    for image in (image for image in bpy.data.images if image.get("magicanimate_clip") == result):
        image.filepath = str(current.animations.history.folder(result).frame(0))
    elsewhere = shot.parent / "elsewhere"
    elsewhere.mkdir()
    save(elsewhere / "edit.blend")
    bpy.ops.wm.open_mainfile(filepath=str(shot))
    before = files_of(current, result)
    with pytest.raises(RuntimeError, match=r"edit\.blend shows that result's frames"):
        delete(result)
    assert files_of(current, result) == before


def test_a_result_that_an_image_of_the_persons_own_shows_is_not_deleted(result, current, shot):
    frame = shot.parent / "magicanimate" / result / "frames/000001.png"
    bpy.data.images.load(str(frame), check_existing=False).name = "My plate"
    before = files_of(current, result)
    with pytest.raises(RuntimeError, match="“My plate” of this file shows that result"):
        delete(result)
    assert files_of(current, result) == before
    assert uses_of(result).planes == 1


def test_a_file_that_cannot_be_moved_stops_it_with_everything_in_its_place(result, current, monkeypatch):
    before, replace = files_of(current, result), os.replace

    def busy(source, target):
        if Path(source).name == "000003.png" and "magicanimate" in Path(source).parts[:-3]:
            raise PermissionError(13, "The file is in use")
        replace(source, target)

    monkeypatch.setattr(os, "replace", busy)
    with pytest.raises(RuntimeError, match=r"000003\.png can't be deleted: The file is in use"):
        delete(result)
    monkeypatch.undo()
    assert files_of(current, result) == before
    assert uses_of(result).planes == 1


def test_the_dialog_says_what_goes(result, current):
    said = []
    manager = SimpleNamespace(invoke_props_dialog=lambda operator, **options: said.append(options) or {"RUNNING_MODAL"})
    record = current.record(result)
    operator = SimpleNamespace(job=result, record=lambda context: record, layout=Layout(shown := Shown()))
    operator._ask = lambda context: MAGICANIMATE_OT_delete_result._ask(operator, context)
    context = SimpleNamespace(window_manager=manager)
    assert MAGICANIMATE_OT_delete_result.invoke(operator, context, None) == {"RUNNING_MODAL"}
    (options,) = said
    assert clips.title_of(record) in options["title"]
    assert options["confirm_text"] == "Delete"
    MAGICANIMATE_OT_delete_result.draw(operator, context)
    count = len(files_of(current, result))
    assert f"{count} files (" in shown.text
    assert "9 of them are the copies beside this file" in shown.text  # four frames, four mattes, their register
    assert "taken out of this file: 1 plane" in shown.text
    assert "Undo brings all of it back" in shown.text


def test_it_is_greyed_out_where_undo_cannot_bring_it_back(result, stage):
    body = bpy.data.objects["Sample Female Body"]
    bpy.context.view_layer.objects.active = body
    assert bpy.ops.magicanimate.delete_result.poll()
    bpy.ops.object.mode_set(mode="EDIT")
    assert not bpy.ops.magicanimate.delete_result.poll()
    bpy.ops.object.mode_set(mode="OBJECT")


CRASH = """
import atexit, os, sys
import bpy
bpy.ops.preferences.addon_enable(module="magicanimate_blender")
preferences = bpy.context.preferences.addons["magicanimate_blender"].preferences
preferences.results = sys.argv[2]
bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
bpy.ops.magicanimate.delete_result(job=sys.argv[3])
if sys.argv[4] == "quit":
    atexit._run_exitfuncs()
os._exit(0)  # the module of Blender 4.5 does not always end by itself
"""


@pytest.mark.parametrize("end", ["crash", "quit"])
def test_a_blender_that_ends_without_saving_loses_nothing(result, current, shot, tmp_path, end):
    save()
    before = files_of(current, result)
    (tmp_path / "crash.py").write_text(CRASH)
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path / "user"), "PYTHONPATH": str(ROOT)}
    words = [str(shot), str(current.animations.history.root), result, end]
    done = subprocess.run(
        [sys.executable, str(tmp_path / "crash.py"), *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    if end == "crash":
        assert files_of(current, result) == {}
    bpy.ops.wm.open_mainfile(filepath=str(shot))
    assert files_of(current, result) == before
    assert pictures(result) == [FRAME, MATTE]


def test_what_is_deleted_in_a_moved_project_is_its_own_copy(result, current, shot, tmp_path_factory):
    """The original's copies are not touched by who works on a copy of the project."""
    save()
    moved = tmp_path_factory.mktemp("moved") / "project"
    shutil.copytree(shot.parent, moved)
    original = {path: path.read_bytes() for path in (shot.parent / "magicanimate").rglob("*.png")}
    bpy.ops.wm.open_mainfile(filepath=str(moved / "shot.blend"))
    delete(result)
    save()
    assert not (moved / "magicanimate" / result).exists()
    assert {path: path.read_bytes() for path in original} == original


def test_saving_the_startup_file_is_no_save_of_the_file(stage, current, finish, monkeypatch, tmp_path):
    bpy.ops.magicanimate.animate()
    animation = current.animations.poll()[-1][0]
    finish(animation)
    bpy.ops.ed.undo_push(message="the state to come back to")
    delete(animation.id)
    bpy.ops.wm.save_homefile()
    bpy.ops.ed.undo()
    assert animation.folder.fetched(4) == {0, 1, 2, 3}
    assert uses_of(animation.id).planes == 1
