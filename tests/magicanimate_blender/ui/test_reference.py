import bpy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from magicanimate_blender.scene.errors import SceneError
from magicanimate_blender.ui.reference import fitted, pixels_of, read_reference

LENGTH = st.integers(1, 40)


@given(LENGTH, LENGTH, LENGTH, LENGTH, st.sampled_from(["CROP", "PAD", "STRETCH"]))
def test_any_picture_gets_the_asked_size_and_a_plain_one_stays_plain(width, height, new_width, new_height, fit):
    plain = np.full((height, width, 3), (200, 30, 90), np.uint8)
    result = fitted(plain, (new_width, new_height), fit)
    assert result.shape == (new_height, new_width, 3)
    assert (result == (200, 30, 90)).all()


def test_a_picture_of_the_right_size_stays_as_it_is():
    picture = np.random.default_rng(0).integers(0, 256, (24, 16, 3)).astype(np.uint8)
    np.testing.assert_array_equal(fitted(picture, (16, 24), "CROP"), picture)


@pytest.mark.parametrize("size", [(50, 40), (300, 200), (64, 200)])
def test_resampling_agrees_with_pillow(size):
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (12, 20, 3)).astype(np.uint8).repeat(10, 0).repeat(10, 1)
    expected = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(fitted(picture, size, "STRETCH").astype(int) - expected).max() <= 1


def test_a_photograph_is_averaged_down_nearly_as_pillow_does_it():
    y, x = np.mgrid[:600, :800]
    picture = np.stack([x % 256, y % 256, (x + y) // 6], axis=2).astype(np.uint8)
    expected = np.asarray(Image.fromarray(picture).resize((80, 60), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(fitted(picture, (80, 60), "STRETCH").astype(int) - expected).mean() < 2


def test_cropping_keeps_the_middle_and_padding_keeps_all():
    picture = np.zeros((10, 30, 3), np.uint8)
    picture[:, 10:20] = 255
    assert (fitted(picture, (10, 10), "CROP") == 255).all()
    padded = fitted(picture, (30, 30), "PAD")
    assert (padded[10:20, 10:20] == 255).all()
    assert not padded[:9].any()


def test_a_file_is_read_as_it_is(scene, tmp_path):
    picture = np.random.default_rng(2).integers(0, 256, (48, 32, 3)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    image = bpy.data.images.load(str(tmp_path / "a.png"))
    np.testing.assert_array_equal(pixels_of(image), picture)
    png = read_reference(image, (32, 48), "CROP")
    (tmp_path / "b.png").write_bytes(png)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.png")), picture)


def test_transparent_pixels_become_white_and_grey_becomes_rgb(scene, tmp_path):
    Image.fromarray(np.full((8, 8), 60, np.uint8)).save(tmp_path / "grey.png")
    assert (pixels_of(bpy.data.images.load(str(tmp_path / "grey.png"))) == 60).all()
    Image.fromarray(np.zeros((8, 8, 4), np.uint8)).save(tmp_path / "clear.png")
    assert (pixels_of(bpy.data.images.load(str(tmp_path / "clear.png"))) == 255).all()


def test_light_is_made_a_picture(scene):
    image = bpy.data.images.new("light", 4, 4, float_buffer=True)
    image.pixels.foreach_set(np.array([0.5, 0.5, 0.5, 1.0] * 16, np.float32))
    assert pixels_of(image)[0, 0, 0] == 188


def test_a_file_that_is_gone_and_a_film_are_told(scene, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    image = bpy.data.images.load(str(tmp_path / "a.png"))
    (tmp_path / "a.png").unlink()
    image.reload()
    with pytest.raises(SceneError, match="can't be read"):
        pixels_of(image)
    image.source = "MOVIE"
    with pytest.raises(SceneError, match="no still picture"):
        pixels_of(image)
