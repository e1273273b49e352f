import io
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from inference_server.errors import UserError
from inference_server.media.images import png_bytes, read_image, write_png


def encoded(picture: Image.Image, format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def png_header_only(width: int, height: int, payload: bytes = b"") -> bytes:
    """A PNG that claims a size and holds nearly nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    header = chunk(b"IHDR", size + bytes([1, 0, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", payload) + chunk(b"IEND", b"")


def refused(source: bytes | Path, **options) -> UserError:
    with pytest.raises(UserError) as caught:
        read_image(source, **options)
    return caught.value


def test_a_png_comes_back_as_it_was_written(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    write_png(tmp_path / "deep" / "a.png", image)
    assert np.array_equal(read_image(tmp_path / "deep" / "a.png"), image)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.new("L", (2, 2), 77), (77, 77, 77)),
        (Image.new("1", (2, 2), 1), (255, 255, 255)),
        (Image.new("LA", (2, 2), (10, 0)), (255, 255, 255)),
        (Image.new("RGBA", (2, 2), (255, 0, 0, 0)), (255, 255, 255)),
        (Image.new("RGBA", (2, 2), (255, 0, 0, 255)), (255, 0, 0)),
        (Image.new("RGB", (2, 2), (1, 2, 3)).quantize(2), (1, 2, 3)),
        (Image.fromarray(np.full((2, 2), 0xABCD, np.uint16)), (0xAB, 0xAB, 0xAB)),
    ],
    ids=["grey", "bit", "clear grey", "clear", "opaque", "palette", "16 bit"],
)
def test_every_kind_of_png_becomes_rgb(picture, expected):
    image = read_image(encoded(picture))
    assert image.shape == (2, 2, 3)
    assert image.dtype == np.uint8
    assert tuple(image[0, 0]) == expected


def test_cmyk_jpeg_becomes_rgb():
    assert read_image(encoded(Image.new("CMYK", (8, 8)), "JPEG")).min() > 250


def test_a_phone_picture_stands_upright():
    picture = Image.new("RGB", (4, 2))
    picture.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    image = read_image(encoded(picture, exif=exif))
    assert image.shape == (4, 2, 3)
    assert image[0, 1].tolist() == [255, 255, 255]


def test_a_missing_file_is_named(tmp_path):
    error = refused(tmp_path / "gone.png")
    assert error.code == "file-missing"
    assert "gone.png" in str(error)
    assert refused(tmp_path).code == "file-missing"


@pytest.mark.parametrize("keep", [0, 1, 20, 60, -30])
def test_a_truncated_picture_is_refused(keep):
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert refused(png_bytes(noise)[:keep], name="cut.png").code == "picture-unreadable"


@pytest.mark.parametrize("side", [20_000, 32_000, 2**31 - 1])
def test_a_bomb_is_refused_by_its_header(side):
    error = refused(png_header_only(side, side), name="bomb.png")
    assert error.code == "picture-too-large"
    assert "bomb.png" in error.message


def test_a_100_kb_gigapixel_png_is_not_decoded():
    rows = zlib.compress(bytes(4000 * 32_000), 9)  # 1 bit a pixel: what the first eighth of the rows needs
    data = png_header_only(32_000, 32_000, rows)
    assert len(data) < 150_000
    assert refused(data).code == "picture-too-large"


@pytest.mark.parametrize("format", ["GIF", "BMP", "TIFF"])
def test_formats_outside_the_list_reach_no_decoder(format):
    assert refused(encoded(Image.new("RGB", (2, 2)), format)).code == "picture-unreadable"


BASE = png_bytes(np.zeros((4, 4, 3), np.uint8))


@given(
    st.binary(max_size=200)
    | st.builds(
        lambda at, byte: BASE[:at] + byte + BASE[at + 1 :],
        st.integers(0, len(BASE) - 1),
        st.binary(min_size=1, max_size=1),
    )
)
def test_no_bytes_do_more_than_a_picture_or_a_user_error(data):
    with suppress(UserError):
        assert read_image(data, max_pixels=10_000).ndim == 3
