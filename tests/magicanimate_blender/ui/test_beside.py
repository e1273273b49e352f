"""Results and reference pictures lie beside the file that uses them, wherever it is saved; failed copies are told."""

import shutil
from pathlib import Path

import bpy
import numpy as np
import pytest
from PIL import Image

from magicanimate_blender.ui import command_line, messages
from magicanimate_blender.ui.operators.reference import load_picture
from magicanimate_blender.ui.reference import pixels_of
from tests.magicanimate_blender.ui.conftest import ASSETS


def picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 16, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def choose(path):
    bpy.ops.magicanimate.open_reference(filepath=str(path))
    return bpy.context.scene.magicanimate.reference


def save(path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(path), **options)


def test_a_reference_moves_with_the_file(preferences, tmp_path):
    pixels = picture(tmp_path / "Pictures/anna.png", 1)
    choose(tmp_path / "Pictures/anna.png")
    bpy.context.scene.magicanimate.consent = True
    save(tmp_path / "shot/a.blend")
    reference = bpy.context.scene.magicanimate.reference
    assert reference.filepath == "//magicanimate/reference/anna.png"
    assert bpy.context.scene.magicanimate.consent
    shutil.rmtree(tmp_path / "Pictures")
    (tmp_path / "shot").rename(tmp_path / "moved")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "moved/a.blend"))
    np.testing.assert_array_equal(pixels_of(bpy.context.scene.magicanimate.reference), pixels)


def test_one_that_lies_below_the_file_is_not_copied_but_relative(preferences, tmp_path):
    save(tmp_path / "shot/a.blend")
    picture(tmp_path / "shot/refs/anna.png", 1)
    assert choose(tmp_path / "shot/refs/anna.png").filepath == "//refs/anna.png"
    save(tmp_path / "shot/a.blend")
    assert bpy.context.scene.magicanimate.reference.filepath == "//refs/anna.png"
    assert not (tmp_path / "shot/magicanimate").exists()


def test_one_beside_another_folder_is_not_taken_for_one_below(preferences, tmp_path):
    """//../refs/anna.png begins with the file's folder until the two dots are resolved."""
    picture(tmp_path / "refs/anna.png", 1)
    save(tmp_path / "shot/a.blend")
    choose(tmp_path / "refs/anna.png").filepath = "//../refs/anna.png"
    save(tmp_path / "shot/a.blend")
    assert bpy.context.scene.magicanimate.reference.filepath == "//magicanimate/reference/anna.png"


def test_save_as_takes_it_along_and_save_copy_leaves_the_open_file_as_it_is(preferences, tmp_path):
    pixels = picture(tmp_path / "Pictures/anna.png", 1)
    choose(tmp_path / "Pictures/anna.png")
    save(tmp_path / "one/a.blend")
    save(tmp_path / "copy/c.blend", copy=True)
    reference = bpy.context.scene.magicanimate.reference
    assert Path(bpy.path.abspath(reference.filepath)) == tmp_path / "one/magicanimate/reference/anna.png"
    save(tmp_path / "two/b.blend")
    for gone in ("Pictures", "one"):
        shutil.rmtree(tmp_path / gone)
    for blend in ("two/b.blend", "copy/c.blend"):
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / blend))
        reference = bpy.context.scene.magicanimate.reference
        assert reference.filepath == "//magicanimate/reference/anna.png"
        np.testing.assert_array_equal(pixels_of(reference), pixels)


def test_two_pictures_of_one_name_stay_two(preferences, tmp_path):
    other = bpy.data.scenes.new("Other")
    pixels = [picture(tmp_path / f"{name}/anna.png", seed) for seed, name in enumerate(("a", "b"))]
    for scene, name in ((bpy.context.scene, "a"), (other, "b")):
        scene.magicanimate.reference = load_picture(tmp_path / name / "anna.png")
    for _ in range(2):
        save(tmp_path / "shot/a.blend")
    shown = [scene.magicanimate.reference for scene in (bpy.context.scene, other)]
    for image, expected in zip(shown, pixels, strict=True):
        assert image.filepath.startswith("//magicanimate/reference/anna")
        np.testing.assert_array_equal(np.asarray(Image.open(bpy.path.abspath(image.filepath))), expected)
    assert len(list((tmp_path / "shot/magicanimate/reference").glob("*.png"))) == 2


def test_an_image_of_the_persons_own_keeps_its_path(preferences, tmp_path):
    picture(tmp_path / "Pictures/anna.png", 1)
    image = bpy.data.images.load(str(tmp_path / "Pictures/anna.png"))
    assert choose(tmp_path / "Pictures/anna.png") == image
    save(tmp_path / "shot/a.blend", relative_remap=False)
    assert image.filepath == str(tmp_path / "Pictures/anna.png")


def test_it_stays_where_it_is_if_the_preferences_say_so(preferences, tmp_path):
    preferences.beside_file = False
    picture(tmp_path / "Pictures/anna.png", 1)
    image = choose(tmp_path / "Pictures/anna.png")
    save(tmp_path / "shot/a.blend", relative_remap=False)
    assert image.filepath == str(tmp_path / "Pictures/anna.png")


@pytest.fixture
def used(stage, current, finish, tmp_path):
    """Id of a result that the file, which was never saved, shows on a plane."""
    bpy.ops.magicanimate.animate()
    animation = current.animations.poll()[-1][0]
    finish(animation)
    messages.clear()
    return animation.id


def test_copies_that_cannot_be_made_are_told_and_the_file_refers_to_where_they_are(used, current, tmp_path):
    (tmp_path / "shot").mkdir()
    (tmp_path / "shot/magicanimate").write_text("a file is in the way")
    save(tmp_path / "shot/a.blend", relative_remap=False)
    message = messages.current()
    assert "could not be copied beside the .blend" in message.text
    assert "save again" in message.fix
    frame = current.animations.history.folder(used).frame(0)
    assert str(frame) in {image.filepath for image in bpy.data.images}
    assert bpy.context.scene.magicanimate.reference.filepath == str(ASSETS / "sample_reference.png")
    messages.clear()
    (tmp_path / "shot/magicanimate").unlink()
    save(tmp_path / "shot/a.blend")
    assert messages.current() is None
    assert f"//magicanimate/{used}/frames/000001.png" in {image.filepath for image in bpy.data.images}


def test_frames_that_are_missing_are_told_at_a_save(used, current, tmp_path):
    shutil.rmtree(current.animations.history.folder(used).frames)
    save(tmp_path / "shot/a.blend")
    assert "frames is missing" in messages.current().text


def test_a_picture_that_is_missing_is_told_at_a_save(preferences, tmp_path):
    picture(tmp_path / "anna.png", 1)
    choose(tmp_path / "anna.png")
    (tmp_path / "anna.png").unlink()
    save(tmp_path / "shot/a.blend")
    assert "The reference picture “anna.png” could not be copied" in messages.current().text


def test_a_retouched_frame_beside_a_file_is_not_replaced_at_a_save(used, current, tmp_path):
    save(tmp_path / "shot/a.blend")
    frame = tmp_path / "shot/magicanimate" / used / "frames/000001.png"
    frame.write_bytes(b"retouched")
    for image in bpy.data.images:
        if image.get("magicanimate_clip") == used:
            image.filepath = str(current.animations.history.folder(used).frame(0))
    save(tmp_path / "shot/a.blend")
    assert frame.read_bytes() == b"retouched"


def test_the_command_line_tells_what_was_not_copied(stage, current, tmp_path, capsys):
    (tmp_path / "magicanimate").write_text("a file is in the way")
    words = ["animate", "--out", str(tmp_path / "out"), "--plane", "--save", str(tmp_path / "saved.blend")]
    assert command_line.run(words) == 1
    error = capsys.readouterr().err
    assert "could not be copied beside the .blend" in error
    assert error.count("\n") == 1
    assert (tmp_path / "saved.blend").is_file()
