"""Pictures as PNG files, with the standard library alone. Of labels the index is the truth; colour is its palette."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..densepose.errors import DensePoseError
from ..densepose.labels import PALETTE
from .png_reader import INDEXED, RGB, RGB_ALPHA, SIGNATURE, read_pixels

__all__ = ["decode_labels", "decode_picture", "encode_labels", "encode_rgb"]


def encode_labels(labels: ArrayLike) -> bytes:
    """uint8 (H, W) labels 0..24 -> 8-bit indexed PNG with the DensePose palette: index and colour in one file.

    Raises DensePoseError for a picture without pixels or with labels over 24.
    """
    labels = _checked(labels)
    palette = (b"PLTE", PALETTE.tobytes())
    return _png(labels, INDEXED, [palette])


def encode_rgb(picture: ArrayLike) -> bytes:
    """uint8 (H, W, 3) -> 8-bit RGB PNG. `PALETTE[labels]` is the picture of a label image."""
    picture = np.ascontiguousarray(picture, np.uint8)
    if picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise DensePoseError(
            f"A picture of shape {picture.shape} cannot be written.", "Give rows, columns and three channels."
        )
    return _png(picture.reshape(len(picture), -1), RGB, [])


def decode_labels(data: bytes) -> NDArray[np.uint8]:
    """Labels (H, W) of an indexed or RGB PNG whose colours are all in the DensePose palette.

    Reads what PNG writers commonly give: not interlaced, any row filter, any order of the palette.
    Raises DensePoseError, with the first colour that is no label's, where the picture is not exact.
    """
    try:
        levels, colour_type, palette = read_pixels(data)
    except ValueError as why:
        raise _unreadable(str(why)) from None
    if colour_type == INDEXED:
        indices = levels[..., 0]
        if palette is None or int(indices.max()) >= len(palette):
            raise _unreadable("its palette is damaged")
        indexed: NDArray[np.uint8] = _labels_of(palette, used=np.unique(indices))[indices]
        return indexed
    if colour_type != RGB:
        raise _unreadable("only indexed or RGB files hold labels")
    colours, inverse = np.unique(levels.reshape(-1, 3), axis=0, return_inverse=True)
    labels: NDArray[np.uint8] = _labels_of(colours, np.arange(len(colours)))[inverse].reshape(levels.shape[:2])
    return labels


def decode_picture(data: bytes) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) of any PNG that is not interlaced; transparency is left out. Raises ValueError if it is none."""
    levels, colour_type, palette = read_pixels(data)
    if colour_type == INDEXED:
        if palette is None or int(levels.max()) >= len(palette):
            raise ValueError("its palette is damaged")
        picture: NDArray[np.uint8] = palette[levels[..., 0]]
        return picture
    colours = levels[..., :3] if colour_type in (RGB, RGB_ALPHA) else levels[..., :1]
    return np.broadcast_to(colours, (*levels.shape[:2], 3))


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
    width = rows.shape[1] // (3 if colour_type == RGB else 1)
    filtered = np.zeros((height, rows.shape[1] + 1), np.uint8)  # filter 0 in front of every row
    filtered[:, 1:] = rows
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)),
        *extra,
        (b"IDAT", zlib.compress(filtered.tobytes(), 6)),
        (b"IEND", b""),
    ]
    return SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _unreadable(why: str) -> DensePoseError:
    return DensePoseError(f"The part map cannot be read: {why}.", "Export it again as PNG.")
