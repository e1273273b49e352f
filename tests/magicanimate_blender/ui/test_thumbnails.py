import numpy as np
import pytest
from PIL import Image

from magicanimate_blender.ui import thumbnails


@pytest.fixture
def picture(addon, tmp_path):
    path = tmp_path / "preview.png"
    Image.fromarray(np.full((40, 600, 3), (10, 200, 30), np.uint8)).save(path)
    return path


def test_a_picture_is_loaded_when_it_was_asked_for(picture):
    assert thumbnails.icon("job", picture) == 0  # in background icons have no numbers even later
    assert thumbnails.load_wanted()
    thumbnails.icon("job", picture)
    entry = thumbnails._icons["job/preview.png"]
    assert tuple(entry.image_size) == (256, 17)
    assert np.allclose(entry.image_pixels_float[:4], [10 / 255, 200 / 255, 30 / 255, 1], atol=0.01)
    assert not thumbnails.load_wanted()


def test_another_version_is_loaded_into_the_same_icon(picture):
    thumbnails.icon("job2", picture, 1)
    thumbnails.load_wanted()
    Image.fromarray(np.full((8, 8, 3), 255, np.uint8)).save(picture)
    thumbnails.icon("job2", picture, 2)
    assert thumbnails.load_wanted()
    assert tuple(thumbnails._icons["job2/preview.png"].image_size) == (8, 8)


def test_a_file_that_is_no_picture_stays_without_icon(addon, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    thumbnails.icon("job3", tmp_path / "bad.png")
    assert not thumbnails.load_wanted()
    assert thumbnails.icon("job3", tmp_path / "bad.png") == 0
    assert not thumbnails.load_wanted()
