import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from inference_server.errors import UserError
from inference_server.media.images import png_bytes, write_png
from inference_server.media.labels import (
    PALETTE,
    colours_from_labels,
    labels_from_colours,
    read_label_clip,
    read_labels,
)
from inference_server.media.video import write_mp4


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    """24 parts as blocks of 8 x 8 on background."""
    image = np.zeros((64, 64), np.uint8)
    image[8:56, 16:48] = np.kron(np.arange(1, 25, dtype=np.uint8).reshape(6, 4), np.ones((8, 8), np.uint8))
    return image


def indexed(labels: np.ndarray, palette: np.ndarray = PALETTE) -> bytes:
    picture = Image.fromarray(labels, "P")
    picture.putpalette(palette.astype(np.uint8).ravel().tolist())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def refused(read, *args, **options) -> UserError:
    with pytest.raises(UserError) as caught:
        read(*args, **options)
    return caught.value


def test_indexed_grey_and_coloured_maps_hold_the_same_labels(labels, tmp_path):
    assert np.array_equal(read_labels(indexed(labels)), labels)
    Image.fromarray(labels).save(tmp_path / "grey.png")
    assert np.array_equal(read_labels(tmp_path / "grey.png"), labels)
    assert np.array_equal(read_labels(png_bytes(colours_from_labels(labels))), labels)


def test_an_index_or_level_above_24_is_refused(labels):
    bad = labels.copy()
    bad[0, 0] = 25
    longer = np.vstack([PALETTE, [[0, 0, 0]]])
    error = refused(read_labels, indexed(bad, longer), name="map 7")
    assert error.code == "label-out-of-range"
    assert "map 7" in error.message


def test_another_table_is_refused_and_told_the_colours(labels):
    jet = np.stack([np.linspace(0, 255, 25), np.linspace(255, 0, 25), np.full(25, 128)], axis=1).astype(np.uint8)
    for data in (indexed(labels, jet), png_bytes(jet[labels]), png_bytes(255 - colours_from_labels(labels))):
        error = refused(read_labels, data, name="map 7")
        assert error.code == "map-off-palette"
        assert "VIRIDIS" in error.fix
        assert "(68, 1, 84)" in error.fix


def test_black_background_is_refused(labels):
    coloured = colours_from_labels(labels)
    coloured[labels == 0] = 0
    assert refused(labels_from_colours, coloured).code == "map-off-palette"


def test_a_small_figure_in_wrong_colours_is_refused():
    coloured = colours_from_labels(np.zeros((100, 100), np.uint8))
    coloured[40:60, 45:55] = (200, 40, 40)
    assert refused(labels_from_colours, coloured).code == "map-off-palette"


@given(st.integers(0, 24), st.tuples(*[st.integers(-5, 5)] * 3))
def test_a_codecs_darkening_keeps_the_label_of_distinct_colours(label, shift):
    colour = np.clip(PALETTE[label].astype(int) + shift, 0, 255).astype(np.uint8)
    found = labels_from_colours(np.broadcast_to(colour, (4, 4, 3)))[0, 0]
    distance = np.linalg.norm(PALETTE.astype(int) - colour.astype(int), axis=1)
    assert distance[found] == distance.min()


def test_maps_survive_our_own_video(labels, tmp_path):
    labels = np.kron(labels, np.ones((4, 4), np.uint8))  # chroma is halved: parts of a few pixels would not survive
    write_mp4(tmp_path / "maps.mp4", [colours_from_labels(labels)] * 3, 25)
    clip = read_label_clip(tmp_path / "maps.mp4")
    assert clip.fps == 25
    assert clip.labels.shape == (3, 256, 256)
    assert (clip.labels[0] == labels).mean() > 0.9


def test_a_folder_of_maps(labels, tmp_path):
    for n in range(3):
        (tmp_path / f"{n}.png").write_bytes(indexed(np.roll(labels, n, axis=1)))
    assert np.array_equal(read_label_clip(tmp_path).labels[2], np.roll(labels, 2, axis=1))
    write_png(tmp_path / "3.png", colours_from_labels(labels[:32]))
    assert refused(read_label_clip, tmp_path).code == "size-mismatch"


def noise(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_any_picture_is_labels_or_a_user_error(height, width, seed):
    with suppress(UserError):
        found = labels_from_colours(noise(height, width, seed))
        assert found.shape == (height, width)
        assert found.max() <= 24
