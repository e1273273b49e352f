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
    entry = thumbnails._icons["job/preview.png/0"]
    assert tuple(entry.image_size) == (256, 17)
    assert np.allclose(entry.image_pixels_float[:4], [10 / 255, 200 / 255, 30 / 255, 1], atol=0.01)
    assert not thumbnails.load_wanted()


def test_newer_versions_are_loaded_and_few_old_ones_stay(picture):
    for version in range(8):
        Image.fromarray(np.full((8, 8 + version, 3), 255, np.uint8)).save(picture)
        thumbnails.icon("job2", picture, version)
        assert thumbnails.load_wanted()
    kept = [name for name in thumbnails._icons if name.startswith("job2/")]
    assert len(kept) == thumbnails.KEPT + 1
    assert tuple(thumbnails._icons[kept[-1]].image_size) == (15, 8)


def test_a_file_that_is_no_picture_stays_without_icon(addon, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    thumbnails.icon("job3", tmp_path / "bad.png")
    assert not thumbnails.load_wanted()
    assert thumbnails.icon("job3", tmp_path / "bad.png") == 0
    assert not thumbnails.load_wanted()
