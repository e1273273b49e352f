"""Mitten hands: close the gaps between fingers, as detectors draw the hands that the network was trained on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["mitten_hands"]

_HANDS = (3, 4)


def mitten_hands(labels: NDArray[np.uint8], radius: int | None = None) -> NDArray[np.uint8]:
    """Labels (H, W) with each hand closed: gaps up to 2 * radius pixels wide become hand. The argument stays as it is.

    radius: the mean width of what is seen of the hand, about a finger, where not given.
    """
    closed = labels.copy()
    for label in _HANDS:
        mask = labels == label
        if not mask.any():
            continue
        reach = _mean_width(mask) if radius is None else radius
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        hand = _closed(mask[box], reach)
        closed[box][hand] = label
    return closed


def _mean_width(mask: NDArray[np.bool_]) -> int:
    """Twice the area over the outline: a strip's width."""
    framed = np.pad(mask, 1)
    outline = sum(int((framed != np.roll(framed, 1, axis=axis)).sum()) for axis in (0, 1))
    return max(1, round(2 * int(mask.sum()) / outline))


def _closed(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Dilation and then erosion by a disc."""
    padded = np.pad(mask, 2 * radius)
    closed = ~_dilated(~_dilated(padded, radius), radius)
    inner: NDArray[np.bool_] = closed[2 * radius : -2 * radius, 2 * radius : -2 * radius]
    return inner | mask


def _dilated(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    grown = mask.copy()
    for dy in range(-radius, radius + 1):
        reach = int(np.sqrt(radius**2 - dy**2))
        for dx in range(-reach, reach + 1):
            grown |= np.roll(mask, (dy, dx), axis=(0, 1))
    return grown
