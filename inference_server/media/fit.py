"""Bring a picture or a part map to the size of the animation."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Mode = Literal["pad", "crop", "stretch"]


def fit_image(image: NDArray[np.uint8], width: int, height: int, mode: Mode = "crop") -> NDArray[np.uint8]:
    """Resize uint8 (H, W, 3) RGB to (height, width, 3) with Pillow's BICUBIC, the filter of MagicAnimate's driver.

    pad: the whole picture, beside it the mean colour of the border it continues, as a studio's wall would: a hand that
    the border cuts off, repeated outwards, would become a stripe;
    crop: the middle; stretch: the aspect ratio is not kept, as in the original.
    """
    resized = _resize(image, *_inner_size(image, width, height, mode), Image.Resampling.BICUBIC)
    return _fill_margins(_centre(resized, width, height), resized.shape[:2])


def fit_labels(labels: NDArray[np.uint8], width: int, height: int, mode: Mode = "crop") -> NDArray[np.uint8]:
    """Resize labels (H, W) to (height, width); nearest, because a mean of labels is no label. Padding is background."""
    resized = _resize(labels, *_inner_size(labels, width, height, mode), Image.Resampling.NEAREST)
    return _centre(resized, width, height)


def _inner_size(image: NDArray[np.uint8], width: int, height: int, mode: Mode) -> tuple[int, int]:
    if mode == "stretch":
        return width, height
    scales = (width / image.shape[1], height / image.shape[0])
    scale = min(scales) if mode == "pad" else max(scales)
    return max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))


def _resize(image: NDArray[np.uint8], width: int, height: int, resampling: Image.Resampling) -> NDArray[np.uint8]:
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), resampling))


def _centre(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Cut or pad with 0 on both axes, half on each side."""
    top, left = max(0, image.shape[0] - height) // 2, max(0, image.shape[1] - width) // 2
    image = image[top : top + height, left : left + width]
    margins = [_margins(size, wanted) for size, wanted in zip(image.shape[:2], (height, width), strict=True)]
    return (
        np.pad(image, margins + [(0, 0)] * (image.ndim - 2)) if any(map(any, margins)) else np.ascontiguousarray(image)
    )


def _margins(size: int, wanted: int) -> tuple[int, int]:
    missing = max(0, wanted - size)
    return missing // 2, missing - missing // 2


def _fill_margins(image: NDArray[np.uint8], inner: tuple[int, ...]) -> NDArray[np.uint8]:
    """Give what lies beside the `inner` (height, width), in the middle, the mean colour of the border next to it."""
    (top, below), (left, right) = (_margins(size, wanted) for size, wanted in zip(inner, image.shape[:2], strict=True))
    for before, after, rows in ((top, below, image), (left, right, image.swapaxes(0, 1))):
        if before:
            rows[:before] = _mean(rows[before])
        if after:
            rows[-after:] = _mean(rows[-after - 1])
    return image


def _mean(line: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mean colour of a line of pixels (n, 3)."""
    mean: NDArray[np.float64] = line.mean(axis=0)
    return mean.round().astype(np.uint8)
