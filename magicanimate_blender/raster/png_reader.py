"""Read the pixels of a PNG file with the standard library and numpy, apart from what they mean."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, INDEXED, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
_CHANNELS = {GREY: 1, RGB: 3, INDEXED: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}


class Pixels(NamedTuple):
    """levels: uint8 (H, W, channels) as stored; of 16 bits the upper 8. palette: uint8 (N, 3) of an indexed file."""

    levels: NDArray[np.uint8]
    colour_type: int
    palette: NDArray[np.uint8] | None


def read_pixels(data: bytes) -> Pixels:
    """Any PNG that is not interlaced. Raises ValueError that says why it can't be read."""
    header, palette, body = None, None, []
    for kind, content in _chunks(data):
        if kind == b"IHDR" and len(content) == 13:
            header = struct.unpack(">IIBBBBB", content)
        elif kind == b"PLTE":
            palette = np.frombuffer(content[: len(content) // 3 * 3], np.uint8).reshape(-1, 3)
        elif kind == b"IDAT":
            body.append(content)
    if header is None:
        raise ValueError("it has no header")
    width, height, bits, colour_type, _, _, interlaced = header
    small = bits in (1, 2, 4) and colour_type in (GREY, INDEXED)
    if interlaced or not width or not height or colour_type not in _CHANNELS or not (small or bits in (8, 16)):
        raise ValueError("it is interlaced or of a kind that PNG does not have")
    channels = _CHANNELS[colour_type]
    row_bytes = (width * channels * bits + 7) // 8
    try:
        raw = np.frombuffer(zlib.decompress(b"".join(body)), np.uint8).reshape(height, 1 + row_bytes)
    except (zlib.error, ValueError):
        raise ValueError("its data are damaged") from None
    rows = _unfiltered(raw, max(1, channels * bits // 8))
    if small:
        rows = np.packbits(np.unpackbits(rows, axis=1).reshape(height, -1, bits), axis=2)[:, :width, 0] >> (8 - bits)
        if colour_type == GREY:
            rows = rows * np.uint8(255 // (2**bits - 1))
    elif bits == 16:
        rows = rows[:, ::2]
    return Pixels(rows.reshape(height, width, channels), colour_type, palette)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    if data[:8] != SIGNATURE:
        raise ValueError("it is no PNG")
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        content = data[at + 8 : at + 8 + length]
        if len(content) != length or data[at + 8 + length : at + 12 + length] != struct.pack(
            ">I", zlib.crc32(kind + content)
        ):
            raise ValueError("its data are damaged")
        yield kind, content
        at += 12 + length


def _unfiltered(raw: NDArray[np.uint8], pixel: int) -> NDArray[np.uint8]:
    """Undo PNG's row filters (RFC 2083, section 6). raw: (H, 1 + row bytes); pixel: bytes of one.

    A byte needs those on its left and above it, so all bytes of a diagonal can be computed at once.
    """
    kinds, rows = raw[:, 0], raw[:, 1:]
    if not kinds.any():
        return rows
    if (kinds > 4).any():
        raise ValueError("its data are damaged")
    height, width = rows.shape[0], rows.shape[1] // pixel
    stride = width + 1
    # One row and one column of zeros more, above and on the left, as the filters see them.
    padded = np.zeros((height + 1, stride, pixel), np.int16)
    padded[1:, 1:] = rows.reshape(height, width, pixel)
    flat, kind = padded.reshape(-1, pixel), kinds[:, None].astype(np.intp)
    for diagonal in range(height + width - 1):
        first = max(0, diagonal - width + 1)
        count = min(height, diagonal + 1) - first
        begin = (first + 1) * stride + diagonal - first + 1
        left, up, corner, here = (
            flat[at : at + (count - 1) * width + 1 : width]
            for at in (begin - 1, begin - stride, begin - stride - 1, begin)
        )
        to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
        nearest_left = (to_left <= to_up) & (to_left <= to_corner)
        paeth = np.where(nearest_left, left, np.where(to_up <= to_corner, up, corner))
        choices: list[NDArray[np.int16]] = [np.zeros_like(left), left, up, (left + up) >> 1, paeth]
        guess: NDArray[np.int16] = np.choose(kind[first : first + count], choices)
        np.bitwise_and(here + guess, 255, out=here)
    return padded[1:, 1:].astype(np.uint8).reshape(height, width * pixel)
