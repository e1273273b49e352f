"""Which way a rest mesh stands and looks, from where its segments are."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import DensePoseError
from .segments import index_of

__all__ = ["Axes", "rough_axes", "with_left"]

Axes = NDArray[np.float64]
"""(3, 3): unit rows left, up, forward (the subject's), right-handed: `points @ axes.T` are body coordinates x, y, z."""

_SNAP_UP_DEGREES = 20.0  # heads sit a little in front of feet
_SNAP_LEFT_DEGREES = 6.0


def rough_axes(
    vertices: NDArray[np.float64],
    segment: NDArray[np.int8],
    up: ArrayLike | None = None,
    forward: ArrayLike | None = None,
) -> tuple[Axes, bool]:
    """Axes from the centres of the segments, or from what the caller knows, and whether the sides are swapped.

    Sides are swapped when the body was mirrored (negative scale), so that its .L bones move its right side: its toes
    then point backwards, or `forward` disagrees. The axes are right either way; swap the segments (MIRROR_SEGMENT).
    Raises DensePoseError where nothing tells up from down or left from right.
    """
    centres = {int(i): vertices[segment == i].mean(axis=0) for i in np.unique(segment[segment >= 0])}
    up = _unit(np.asarray(up, np.float64)) if up is not None else _up(centres)
    left = _left(centres)
    if forward is not None:
        axes = with_left(np.cross(up, np.asarray(forward, np.float64)), up)
        return axes, bool(left @ axes[0] < 0)
    axes = with_left(left, up)
    swapped = _toes_point_back(vertices @ axes.T, segment)
    return (np.stack([-axes[0], axes[1], -axes[2]]) if swapped else axes), swapped


def _up(centres: dict[int, NDArray[np.float64]]) -> NDArray[np.float64]:
    top, bottom = _centre(centres, "head"), _centre(centres, "foot_l", "foot_r")
    top = _centre(centres, "torso") if top is None else top
    bottom = _centre(centres, "calf_l", "calf_r") if bottom is None else bottom
    if top is None or bottom is None:
        raise DensePoseError(
            "Nothing tells which way is up: the mesh has no legs or no torso.",
            "Label all meshes of the character together, or check that its weights cover torso and legs.",
        )
    return _snapped(top - bottom, _SNAP_UP_DEGREES)


def _left(centres: dict[int, NDArray[np.float64]]) -> NDArray[np.float64]:
    left = np.zeros(3)
    for part in ("uarm", "farm", "hand", "thigh", "calf", "foot"):
        one, other = _centre(centres, f"{part}_l"), _centre(centres, f"{part}_r")
        if one is not None and other is not None:
            left += _unit(one - other)
    if np.linalg.norm(left) < 0.5:
        raise DensePoseError(
            "Nothing tells left from right: the mesh has weights for limbs of one side only.",
            "Apply its Mirror modifier, or give it weights for both sides.",
        )
    return left


def _centre(centres: dict[int, NDArray[np.float64]], *names: str) -> NDArray[np.float64] | None:
    found = [centres[i] for i in map(index_of, names) if i in centres]
    return np.mean(found, axis=0) if found else None


def _toes_point_back(body: NDArray[np.float64], segment: NDArray[np.int8]) -> bool:
    """Whether feet reach further back than front of the shins, by a quarter of their length and on the whole."""
    behind = 0.0
    for side in "lr":
        foot, calf = body[segment == index_of(f"foot_{side}"), 2], body[segment == index_of(f"calf_{side}"), 2]
        if len(foot) and len(calf):
            shin = float(calf.mean())
            behind += (2 * shin - foot.max() - foot.min()) / max(float(np.ptp(foot)), 1e-12)
    return behind > 0.5


def with_left(left: NDArray[np.float64], up: NDArray[np.float64]) -> Axes:
    """Axes whose left is the given direction, orthogonal to up and snapped to a coordinate axis within 6 degrees."""
    left = _snapped(left - up * (left @ up), _SNAP_LEFT_DEGREES)
    left = _unit(left - up * (left @ up))
    return np.stack([left, up, np.cross(left, up)])


def _unit(v: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = v / max(float(np.linalg.norm(v)), 1e-12)
    return unit


def _snapped(v: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    v = _unit(v)
    axis = np.zeros(3)
    nearest = int(np.abs(v).argmax())
    axis[nearest] = np.sign(v[nearest])
    return axis if v @ axis > np.cos(np.radians(degrees)) else v
