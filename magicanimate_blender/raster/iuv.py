"""DensePose IUV pictures: part, U and V per pixel, for other tools."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .png import encode_rgb

__all__ = ["encode_iuv", "iuv_picture"]


def iuv_picture(
    triangle: NDArray[np.int32], barycentric: NDArray[np.float32], labels: ArrayLike, uv: ArrayLike
) -> NDArray[np.uint8]:
    """uint8 (H, W, 3): label, 255 U and 255 V (truncated) of what `visible_triangles` saw; 0 for background.

    labels (T,) and uv (T, 3, 2) of the triangles it was given.
    """
    labels, uv = np.asarray(labels, np.uint8), np.asarray(uv, np.float64)
    seen = triangle >= 0
    picture = np.zeros((*triangle.shape, 3), np.uint8)
    index = triangle[seen]
    mixed = (uv[index] * barycentric[seen][..., None]).sum(axis=1)
    picture[seen, 0] = labels[index]
    picture[seen, 1:] = np.clip(255 * mixed, 0, 255) * (labels[index] > 0)[:, None]
    return picture


def encode_iuv(picture: NDArray[np.uint8], *, order: str = "BGR") -> bytes:
    """PNG of an IUV picture. "BGR" is what DensePose's own tools write through OpenCV: red V, green U, blue part.

    "RGB" has red part, green U, blue V.
    """
    if order not in ("BGR", "RGB"):
        raise ValueError(f"order is BGR or RGB, not {order}")
    return encode_rgb(picture[..., ::-1] if order == "BGR" else picture)
