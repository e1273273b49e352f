import time

import bpy
import numpy as np
import pytest
from PIL import Image

from magicanimate_blender.ui import thumbnails


@pytest.fixture
def picture(addon, tmp_path):
    path = tmp_path / "preview.png"
    Image.fromarray(np.full((40, 600, 3), (10, 200, 30), np.uint8)).save(path)
    return path


def load(seconds=10.0):
    """Beat until what was asked for is there; whether anything is."""
    end = time.monotonic() + seconds
    loaded = thumbnails.load_wanted()
    while thumbnails.reading():
        assert time.monotonic() < end
        time.sleep(0.005)
        loaded |= thumbnails.load_wanted()
    return loaded


def test_a_picture_is_loaded_when_it_was_asked_for(picture):
    assert thumbnails.icon("job", picture) == 0  # in background icons have no numbers even later
    assert load()
    thumbnails.icon("job", picture)
    entry = thumbnails._icons["job/preview.png/0"]
    assert tuple(entry.image_size) == (256, 17)
    assert np.allclose(entry.image_pixels_float[:4], [10 / 255, 200 / 255, 30 / 255, 1], atol=0.01)
    assert np.allclose(entry.icon_pixels_float[-4:], [10 / 255, 200 / 255, 30 / 255, 1], atol=0.01)
    assert not load()


def test_it_stands_the_right_way_up(addon, tmp_path):
    path = tmp_path / "preview.png"
    Image.fromarray(np.repeat(np.array([[[255, 0, 0]], [[0, 0, 255]]], np.uint8), 5, axis=1)).save(path)
    thumbnails.icon("upright", path)
    load()
    entry = thumbnails._icons["upright/preview.png/0"]
    assert list(entry.image_pixels_float[:3]) == [0, 0, 1]  # Blender's first row is the lowest


def test_nothing_of_it_passes_through_the_file(addon, picture):
    """An ID that comes and goes rebuilds the whole scene's dependency graph: every new one has a number of its own."""

    def next_number():
        image = bpy.data.images.new("Counter", 1, 1)
        number = image.session_uid
        bpy.data.images.remove(image)
        return number

    before = next_number()
    for version in range(3):
        thumbnails.icon("numbers", picture, version)
        assert load()
    assert next_number() == before + 1


def test_newer_versions_are_loaded_and_few_old_ones_stay(picture):
    for version in range(8):
        Image.fromarray(np.full((8, 8 + version, 3), 255, np.uint8)).save(picture)
        thumbnails.icon("job2", picture, version)
        assert load()
    kept = [name for name in thumbnails._icons if name.startswith("job2/")]
    assert len(kept) == thumbnails.KEPT + 1
    assert tuple(thumbnails._icons[kept[-1]].image_size) == (15, 8)


def test_a_file_that_is_no_picture_stays_without_icon(addon, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    thumbnails.icon("job3", tmp_path / "bad.png")
    assert not load()
    assert thumbnails.icon("job3", tmp_path / "bad.png") == 0
    assert not load()


def test_a_picture_that_changed_while_it_was_read_is_read_again(picture):
    thumbnails.icon("job4", picture)
    thumbnails.load_wanted()
    thumbnails.forget("job4")
    thumbnails.icon("job4", picture)  # the panel is drawn again
    assert load()
    assert thumbnails._loaded["job4/preview.png"]
    assert not load()
