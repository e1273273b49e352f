"""The reference picture as the server wants it: RGB, 8 bits, exactly as large as the output."""

from __future__ import annotations

import bpy
import numpy as np

from ..raster.png import encode_rgb
from ..scene.errors import SceneError

ROWS_AT_ONCE = 256
"""Bounds the memory for a picture of many megapixels."""


def read_reference(image: bpy.types.Image, size: tuple[int, int], fit: str) -> bytes:
    """The picture as PNG, brought to width x height pixels. fit: CROP, PAD or STRETCH.

    Transparent pixels become white. Raises SceneError if the picture can't be read.
    """
    return encode_rgb(fitted(pixels_of(image), size, fit))


def pixels_of(image: bpy.types.Image) -> np.ndarray:
    """uint8 (H, W, 3) sRGB, top row first."""
    if image.source not in ("FILE", "GENERATED"):
        raise SceneError(f"“{image.name}” is no still picture.", "Choose a PNG or JPEG file of the person.")
    width, height = image.size
    if not width or not height:
        raise SceneError(
            f"The picture “{image.name}” can't be read: its file is gone or damaged.", "Choose the picture again."
        )
    rgba = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(rgba)
    rgba = rgba.reshape(height, width, 4)[::-1]
    picture = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        picture[rows] = _to_8_bits(rgba[rows], light=image.is_float)
    return picture


def _to_8_bits(rgba: np.ndarray, *, light: bool) -> np.ndarray:
    """Over white. light: the values are linear, not yet a picture's."""
    rgb, alpha = rgba[..., :3], rgba[..., 3:]
    if light:
        rgb = np.where(rgb <= 0.0031308, rgb * 12.92, 1.055 * np.clip(rgb, 0.0031308, None) ** (1 / 2.4) - 0.055)
    return np.rint(np.clip(rgb * alpha + (1 - alpha), 0, 1) * 255).astype(np.uint8)


def fitted(picture: np.ndarray, size: tuple[int, int], fit: str) -> np.ndarray:
    """uint8 (H, W, 3) -> (size[1], size[0], 3)."""
    width, height = size
    if fit == "CROP":
        picture = _crop(picture, width / height)
    if fit == "PAD":
        picture = _pad(picture, width / height)
    return resized(picture, size)


def resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resampled with a triangle filter as wide as the scale asks for, like Pillow's BILINEAR. uint8 (H, W, 3)."""
    times = min(picture.shape[0] // size[1], picture.shape[1] // size[0]) // 2
    if times > 1:  # a photograph: whole pixels are averaged first, which is much quicker
        height, width = (length // times for length in picture.shape[:2])
        blocks = picture[: height * times, : width * times].reshape(height, times, width, times, 3)
        picture = blocks.mean((1, 3), dtype=np.float32)
    rows = _weights(picture.shape[0], size[1])
    columns = _weights(picture.shape[1], size[0])
    tall = np.tensordot(rows, picture.astype(np.float32), axes=(1, 0))
    both = np.einsum("xw,hwc->hxc", columns, tall, optimize=True)
    return np.clip(np.rint(both), 0, 255).astype(np.uint8)


def _weights(old: int, new: int) -> np.ndarray:
    """(new, old) float32: what each new pixel takes of each old one; rows sum to 1."""
    scale = old / new
    reach = max(scale, 1.0)
    centres = (np.arange(new) + 0.5) * scale
    distance = np.abs(np.arange(old) + 0.5 - centres[:, None]) / reach
    weights = np.clip(1 - distance, 0, None)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _crop(picture: np.ndarray, aspect: float) -> np.ndarray:
    height, width = picture.shape[:2]
    keep_width, keep_height = min(width, round(height * aspect)), min(height, round(width / aspect))
    left, top = (width - max(keep_width, 1)) // 2, (height - max(keep_height, 1)) // 2
    return picture[top : top + max(keep_height, 1), left : left + max(keep_width, 1)]


def _pad(picture: np.ndarray, aspect: float) -> np.ndarray:
    """With borders of the edge's median colour."""
    height, width = picture.shape[:2]
    full_width, full_height = max(width, round(height * aspect)), max(height, round(width / aspect))
    edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    canvas = np.empty((full_height, full_width, 3), np.uint8)
    canvas[:] = np.median(edge, axis=0).astype(np.uint8)
    left, top = (full_width - width) // 2, (full_height - height) // 2
    canvas[top : top + height, left : left + width] = picture
    return canvas
