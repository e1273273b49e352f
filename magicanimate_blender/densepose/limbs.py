"""Limb frames, and the tests that split a limb into front and back or inside and outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["FOREARM", "SHIN", "THIGH", "UPPER_ARM", "LimbFrame", "Split", "limb_frame"]

Array = NDArray[np.float64]


class Split(NamedTuple):
    """Front or inside where c0 + c1 F + c2 O + c3 t + c4 O t + c5 F t + c6 t^2 > 0; fitted on SMPL and SMPL-X."""

    c0: float
    c1: float
    c2: float
    c3: float
    c4: float
    c5: float
    c6: float

    def front(self, t: Array, F: Array, O: Array) -> NDArray[np.bool_]:  # noqa: E741
        """Whether points in limb coordinates lie on the front (leg) or inside (arm) half."""
        c0, c1, c2, c3, c4, c5, c6 = self
        value: Array = c0 + c1 * F + c2 * O + c3 * t + c4 * O * t + c5 * F * t + c6 * t * t
        return value > 0


THIGH = Split(0.041, 1, -0.53, 0.141, 0.565, 0.366, -0.064)
SHIN = Split(0.040, 1, 0.14, 0.212, 0.137, 0.409, -0.232)
UPPER_ARM = Split(-0.064, 1, 0.186, 0.093, 0.506, 0.222, -0.080)
FOREARM = Split(-0.021, 1, 0.695, 0.139, 0.925, -1.375, -0.147)


@dataclass(frozen=True)
class LimbFrame:
    """Coordinates of a limb: origin A, unit rows a (along), f (front), o, in units of the limb's length."""

    origin: Array
    axes: Array
    length: float

    def __call__(self, points: Array) -> tuple[Array, Array, Array]:
        """t (0 at A, 1 at B), F (front) and O (T-pose arms: down; legs: to the midline) of points (N, 3)."""
        t, F, O = ((points - self.origin) @ self.axes.T / self.length).T  # noqa: E741
        return t, F, O


def limb_frame(start: Array, end: Array, side: int, forward: Array, along: Array | None = None) -> LimbFrame:
    """The frame of the limb from start to end; side +1 left, -1 right; `along` tilts the axis but not the length."""
    length = max(float(np.linalg.norm(end - start)), 1e-12)
    a = (end - start) / length if along is None else along / np.linalg.norm(along)
    f = forward - a * (forward @ a)
    f = f / max(float(np.linalg.norm(f)), 1e-12)
    return LimbFrame(start, np.stack([a, f, side * np.cross(a, f)]), length)
