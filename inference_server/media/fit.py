"""Bring a picture or a part map to the size of the animation."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Mode = Literal["pad", "crop", "stretch"]


def fit_image(image: NDArray[np.uint8], width: int, height: int, mode: Mode = "crop") -> NDArray[np.uint8]:
    """Resize uint8 (H, W, 3) RGB to (height, width, 3) with Pillow's BICUBIC, the filter of MagicAnimate's driver.

    pad: the whole picture, its border pixels repeated outwards (the authors' advice for pictures that are not square);
    crop: the middle; stretch: the aspect ratio is not kept, as in the original.
    """
    resized = _resize(image, *_inner_size(image, width, height, mode), Image.Resampling.BICUBIC)
    return _centre(resized, width, height, edge=True)


def fit_labels(labels: NDArray[np.uint8], width: int, height: int, mode: Mode = "crop") -> NDArray[np.uint8]:
    """Resize labels (H, W) to (height, width); nearest, because a mean of labels is no label. Padding is background."""
    resized = _resize(labels, *_inner_size(labels, width, height, mode), Image.Resampling.NEAREST)
    return _centre(resized, width, height, edge=False)


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


def _centre(image: NDArray[np.uint8], width: int, height: int, *, edge: bool) -> NDArray[np.uint8]:
    """Cut or pad both axes, half on each side."""
    top, left = max(0, image.shape[0] - height) // 2, max(0, image.shape[1] - width) // 2
    image = image[top : top + height, left : left + width]
    missing = (height - image.shape[0], width - image.shape[1])
    if missing == (0, 0):
        return np.ascontiguousarray(image)
    margins = [(size // 2, size - size // 2) for size in missing] + [(0, 0)] * (image.ndim - 2)
    return np.pad(image, margins, mode="edge" if edge else "constant")
