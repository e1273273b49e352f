import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from magicanimate_blender.densepose.errors import DensePoseError
from magicanimate_blender.densepose.labels import PALETTE
from magicanimate_blender.raster.png import decode_labels, decode_picture, encode_labels, encode_rgb

PICTURES = arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.integers(0, 24))


@given(labels=PICTURES)
def test_labels_survive(labels):
    assert (decode_labels(encode_labels(labels)) == labels).all()


@given(labels=PICTURES)
def test_other_programs_see_labels_and_colours(labels):
    picture = Image.open(io.BytesIO(encode_labels(labels)))
    assert picture.mode == "P"
    assert (np.asarray(picture) == labels).all()
    assert (np.asarray(picture.convert("RGB")) == PALETTE[labels]).all()


@given(labels=PICTURES, optimise=st.booleans(), indexed=st.booleans())
def test_labels_are_read_from_other_programs_files(labels, optimise, indexed):
    """With Pillow's row filters, or its own order of the palette."""
    picture = Image.fromarray(PALETTE[labels])
    picture = picture.quantize(256) if indexed else picture
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=optimise)
    assert (decode_labels(file.getvalue()) == labels).all()


@pytest.mark.parametrize("kind", range(5))
def test_every_row_filter_is_undone(kind):
    labels = np.random.default_rng(kind).integers(0, 25, (9, 7)).astype(np.uint8)
    rows = PALETTE[labels].reshape(9, -1).astype(int)
    left = np.pad(rows, ((0, 0), (3, 0)))[:, :-3]
    up = np.pad(rows, ((1, 0), (0, 0)))[:-1]
    corner = np.pad(rows, ((1, 0), (3, 0)))[:-1, :-3]
    guess = left + up - corner
    apart = np.abs(np.stack([guess - left, guess - up, guess - corner]))
    paeth = np.choose(apart.argmin(axis=0), [left, up, corner])
    filtered = (rows - [0, left, up, (left + up) // 2, paeth][kind]) % 256
    raw = np.pad(filtered, ((0, 0), (1, 0)), constant_values=kind).astype(np.uint8).tobytes()
    plain = encode_rgb(PALETTE[labels])
    start, end = plain.index(b"IDAT") - 4, plain.index(b"IEND") - 4
    data = zlib.compress(raw)
    body = struct.pack(">I", len(data)) + b"IDAT" + data + struct.pack(">I", zlib.crc32(b"IDAT" + data))
    assert (decode_labels(plain[:start] + body + plain[end:]) == labels).all()


def test_rgb_pictures_are_what_pillow_reads():
    picture = np.random.default_rng(0).integers(0, 256, (5, 9, 3)).astype(np.uint8)
    assert (np.asarray(Image.open(io.BytesIO(encode_rgb(picture)))) == picture).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_pictures_of_other_programs_are_read(mode):
    """Smooth ones, for which writers choose every kind of row filter."""
    y, x = np.mgrid[0:40, 0:61]
    smooth = np.stack([x * 4, y * 6, (x + y) * 2], axis=2).astype(np.uint8)
    picture = Image.fromarray(smooth).convert(mode)
    file = io.BytesIO()
    picture.save(file, "PNG")
    assert (decode_picture(file.getvalue()) == np.asarray(picture.convert("RGB"))).all()


def test_a_picture_of_16_bits_is_read_by_its_upper_8():
    levels = np.arange(0, 65536, 331, dtype=np.uint16).reshape(2, 99)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    assert (decode_picture(file.getvalue())[..., 1] == levels >> 8).all()


def test_what_is_no_picture_is_said_to_be_none():
    with pytest.raises(ValueError, match="no PNG"):
        decode_picture(b"GIF89a")


def test_the_same_picture_gives_the_same_bytes():
    labels = np.eye(20, dtype=np.uint8)
    assert encode_labels(labels) == encode_labels(labels.copy(order="F"))


def test_one_wrong_level_of_one_pixel_is_noticed():
    colours = PALETTE[np.full((8, 8), 5)]
    colours[3, 3, 0] += 1
    with pytest.raises(DensePoseError, match=r"\(65, 70, 136\)"):
        decode_labels(encode_rgb(colours))


@pytest.mark.parametrize("labels", [np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8), np.full((2, 2), 25), [[-1]]])
def test_no_picture_is_written_of_what_is_none(labels):
    with pytest.raises(DensePoseError):
        encode_labels(labels)


@given(data=st.data())
def test_damaged_files_are_said_to_be(data):
    good = encode_labels(np.arange(25, dtype=np.uint8).reshape(5, 5))
    at = data.draw(st.integers(0, len(good) - 1))
    bad = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    with pytest.raises(DensePoseError):
        decode_labels(bad)
    with pytest.raises(DensePoseError):
        decode_labels(good[: data.draw(st.integers(0, good.index(b"IEND") - 5))])
