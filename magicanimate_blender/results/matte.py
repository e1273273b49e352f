"""Silhouettes of the part maps, as greyscale pictures that cut a figure out of its frames. No bpy here."""

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def silhouette(labels: NDArray[np.uint8], *, grow: int, soften: int) -> NDArray[np.uint8]:
    """Coverage 0..255 of a label image (H, W; 0 = background): widened by `grow` pixels, then blurred by `soften`.

    Hair and clothes reach beyond the body that the part map draws, hence the growth; both are in pixels, 0 = off.
    """
    solid = labels > 0
    for _ in range(grow):
        padded = np.pad(solid, 1)
        solid = padded[1:-1, 1:-1] | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    cover = solid.astype(np.float32)
    for axis in (0, 1) if soften else ():
        padded = np.pad(cover, [(soften, soften) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        length = cover.shape[axis]
        cover = np.mean([np.take(padded, range(n, n + length), axis=axis) for n in range(2 * soften + 1)], axis=0)
    return np.asarray(np.rint(cover * 255), dtype=np.uint8)


def write_mattes(
    labels: Iterable[NDArray[np.uint8]], folder: Path, *, grow: int = 2, soften: int = 2, first_file: int = 1
) -> None:
    """Write `000001.png` ... into `folder` (made if missing), one greyscale PNG per label image."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(labels, first_file):
        path = folder / f"{number:06d}.png"
        path.write_bytes(_grey_png(silhouette(image, grow=grow, soften=soften)))


def _grey_png(image: NDArray[np.uint8]) -> bytes:
    height, width = image.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row starts with its filter type, 0
    rows[:, 1:] = image
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
