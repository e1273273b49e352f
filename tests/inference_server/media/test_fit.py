import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from inference_server.media.fit import fit_image, fit_labels

size = st.integers(1, 40)


@given(size, size, size, size, st.sampled_from(["pad", "crop", "stretch"]))
def test_the_result_has_the_size_asked_for(height, width, new_height, new_width, mode):
    image = np.zeros((height, width, 3), np.uint8)
    assert fit_image(image, new_width, new_height, mode).shape == (new_height, new_width, 3)
    labels = np.zeros((height, width), np.uint8)
    assert fit_labels(labels, new_width, new_height, mode).shape == (new_height, new_width)


def test_stretch_is_pillows_bicubic():
    image = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    expected = Image.fromarray(image).resize((16, 16), Image.Resampling.BICUBIC)
    assert np.array_equal(fit_image(image, 16, 16, "stretch"), np.asarray(expected))


def test_crop_keeps_the_middle():
    image = np.zeros((4, 8, 3), np.uint8)
    image[:, 2:6] = 200
    assert (fit_image(image, 4, 4, "crop") == 200).all()


def test_pad_continues_a_border_with_its_mean_and_no_stripe():
    wall, sleeve = (200, 190, 180), (20, 60, 140)
    image = np.full((40, 20, 3), wall, np.uint8)
    image[10:14, 12:] = sleeve  # an arm that the right border cuts off
    padded = fit_image(image, 40, 40, "pad")
    assert np.array_equal(padded[:, 10:30], image)
    assert (padded[:, :10] == wall).all(), "the left border is the wall alone"
    right = padded[:, 30:]
    assert (right == right[0, 0]).all(), "one colour, no stripe"
    assert np.allclose(right[0, 0], np.array(wall) * 0.9 + np.array(sleeve) * 0.1, atol=1)
    above = fit_image(image.swapaxes(0, 1), 40, 40, "pad")
    assert np.array_equal(above, padded.swapaxes(0, 1)), "as at the sides, so above and below"


@pytest.mark.parametrize("mode", ["pad", "crop", "stretch"])
def test_labels_are_never_mixed(mode):
    labels = np.random.default_rng(0).choice([0, 3, 24], (17, 23)).astype(np.uint8)
    assert set(np.unique(fit_labels(labels, 31, 40, mode))) <= {0, 3, 24}
    assert fit_labels(labels, 23, 60, "pad")[0].max() == 0
