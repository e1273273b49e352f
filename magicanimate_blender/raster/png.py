"""Label pictures as PNG files, with the standard library alone. The label image is the truth; colour is its palette."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..densepose.errors import DensePoseError
from ..densepose.labels import PALETTE

__all__ = ["decode_labels", "encode_labels", "encode_rgb"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_INDEXED, _RGB = 3, 2


def encode_labels(labels: ArrayLike) -> bytes:
    """uint8 (H, W) labels 0..24 -> 8-bit indexed PNG with the DensePose palette: index and colour in one file.

    Raises DensePoseError for a picture without pixels or with labels over 24.
    """
    labels = _checked(labels)
    palette = (b"PLTE", PALETTE.tobytes())
    return _png(labels, _INDEXED, [palette])


def encode_rgb(picture: ArrayLike) -> bytes:
    """uint8 (H, W, 3) -> 8-bit RGB PNG. `PALETTE[labels]` is the picture of a label image."""
    picture = np.ascontiguousarray(picture, np.uint8)
    if picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise DensePoseError(
            f"A picture of shape {picture.shape} cannot be written.", "Give rows, columns and three channels."
        )
    return _png(picture.reshape(len(picture), -1), _RGB, [])


def decode_labels(data: bytes) -> NDArray[np.uint8]:
    """Labels (H, W) of an indexed or RGB PNG whose colours are all in the DensePose palette.

    Reads what PNG writers commonly give: not interlaced, any row filter, any order of the palette.
    Raises DensePoseError, with the first colour that is no label's, where the picture is not exact.
    """
    header, palette, body = None, None, b""
    for kind, content in _chunks(data):
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", content)
        elif kind == b"PLTE":
            palette = np.frombuffer(content, np.uint8).reshape(-1, 3)
        elif kind == b"IDAT":
            body += content
    if header is None:
        raise _unreadable("it has no header")
    width, height, bits, colour_type, _, _, interlaced = header
    fits = (colour_type == _INDEXED and bits in (1, 2, 4, 8)) or (colour_type == _RGB and bits == 8)
    if not fits or interlaced or not width or not height:
        raise _unreadable("only indexed or 8-bit RGB files without interlacing hold labels")
    channels = 1 if colour_type == _INDEXED else 3
    row_bytes = (width * channels * bits + 7) // 8
    try:
        raw = np.frombuffer(zlib.decompress(body), np.uint8).reshape(height, 1 + row_bytes)
    except (zlib.error, ValueError):
        raise _unreadable("its data are damaged") from None
    rows = _unfiltered(raw, channels)
    if colour_type == _INDEXED:
        rows = np.packbits(np.unpackbits(rows, axis=1).reshape(height, -1, bits), axis=2)[:, :width, 0] >> (8 - bits)
        if palette is None or int(rows.max()) >= len(palette):
            raise _unreadable("its palette is damaged")
        indexed: NDArray[np.uint8] = _labels_of(palette, used=np.unique(rows))[rows]
        return indexed
    colours, inverse = np.unique(rows.reshape(-1, 3), axis=0, return_inverse=True)
    labels: NDArray[np.uint8] = _labels_of(colours, np.arange(len(colours)))[inverse].reshape(height, width)
    return labels


def _checked(labels: ArrayLike) -> NDArray[np.uint8]:
    labels = np.asarray(labels)
    if labels.ndim != 2 or not labels.size:
        raise DensePoseError(
            f"A label picture of shape {labels.shape} has no pixels.", "Set the resolution under Output."
        )
    if labels.min() < 0 or labels.max() >= len(PALETTE):
        raise DensePoseError(
            f"Label {int(labels.max())} is none of DensePose's 0 to {len(PALETTE) - 1}.", "Relabel the character."
        )
    return np.ascontiguousarray(labels, np.uint8)


def _labels_of(colours: NDArray[np.uint8], used: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Label of each colour (N, 3); those in `used` must be in the palette."""
    same = (colours[:, None].astype(int) == PALETTE[None]).all(axis=2)
    for i in used:
        if not same[i].any():
            raise DensePoseError(
                f"The colour {tuple(int(c) for c in colours[i])} is not in the DensePose palette.",
                "Save the map without colour management, scaling or compression losses.",
            )
    labels: NDArray[np.uint8] = same.argmax(axis=1).astype(np.uint8)
    return labels


def _png(rows: NDArray[np.uint8], colour_type: int, extra: list[tuple[bytes, bytes]]) -> bytes:
    height = len(rows)
    width = rows.shape[1] // (3 if colour_type == _RGB else 1)
    filtered = np.zeros((height, rows.shape[1] + 1), np.uint8)  # filter 0 in front of every row
    filtered[:, 1:] = rows
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)),
        *extra,
        (b"IDAT", zlib.compress(filtered.tobytes(), 6)),
        (b"IEND", b""),
    ]
    return _SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    if data[:8] != _SIGNATURE:
        raise _unreadable("it is no PNG")
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        content = data[at + 8 : at + 8 + length]
        if len(content) != length or data[at + 8 + length : at + 12 + length] != struct.pack(
            ">I", zlib.crc32(kind + content)
        ):
            raise _unreadable("its data are damaged")
        yield kind, content
        at += 12 + length


def _unfiltered(raw: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Undo PNG's row filters (RFC 2083, section 6)."""
    kinds, rows = raw[:, 0], raw[:, 1:].copy()
    if (kinds > 4).any():
        raise _unreadable("its data are damaged")
    above = np.zeros(rows.shape[1], np.uint8)
    for y in np.flatnonzero(kinds) if kinds.any() else ():
        above = rows[y - 1] if y else np.zeros_like(above)
        row = rows[y].reshape(-1, channels)
        up = above.reshape(-1, channels)
        if kinds[y] == 1:
            row[:] = np.cumsum(row, axis=0, dtype=np.uint8)
        elif kinds[y] == 2:
            row += up
        else:
            _unfilter_average_or_paeth(row, up, paeth=kinds[y] == 4)
    return rows


def _unfilter_average_or_paeth(row: NDArray[np.uint8], up: NDArray[np.uint8], paeth: bool) -> None:
    for channel in range(row.shape[1]):
        left = corner = 0
        for x, (value, above) in enumerate(zip(row[:, channel].tolist(), up[:, channel].tolist(), strict=True)):
            if paeth:
                estimate = left + above - corner
                distance = abs(estimate - left), abs(estimate - above), abs(estimate - corner)
                guess = (left, above, corner)[distance.index(min(distance))]
            else:
                guess = (left + above) // 2
            left, corner = (value + guess) & 255, above
            row[x, channel] = left


def _unreadable(why: str) -> DensePoseError:
    return DensePoseError(f"The part map cannot be read: {why}.", "Export it again as PNG.")
