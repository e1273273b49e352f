"""U,V of the DensePose charts, 0..1 in each part: approximate, from the same limb frames as the labels.

Directions as in the published charts: U along limbs, V around them. Against those, U is linear in the place along the
limb (R2 >= .99) and V in the angle about it (R2 .94-.98); on hands and feet U is rough.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .anchors import Anchors
from .limbs import limb_frame

__all__ = ["chart_uv"]

Array = NDArray[np.float64]

_FORWARD = np.array([0.0, 0.0, 1.0])
# label -> start and end of its limb, sign of U along it and of V with the angle atan2(O, F)
_LIMB_CHARTS: dict[int, tuple[str, str, int, int]] = {
    7: ("hip_r", "knee_r", 1, 1), 8: ("hip_l", "knee_l", 1, 1),
    9: ("hip_r", "knee_r", -1, 1), 10: ("hip_l", "knee_l", -1, 1),
    11: ("knee_r", "ankle_r", -1, 1), 12: ("knee_l", "ankle_l", -1, 1),
    13: ("knee_r", "ankle_r", 1, -1), 14: ("knee_l", "ankle_l", 1, -1),
    15: ("shoulder_l", "elbow_l", 1, -1), 16: ("shoulder_r", "elbow_r", 1, -1),
    17: ("shoulder_l", "elbow_l", 1, 1), 18: ("shoulder_r", "elbow_r", 1, 1),
    19: ("elbow_l", "wrist_l", -1, 1), 20: ("elbow_r", "wrist_r", -1, 1),
    21: ("elbow_l", "wrist_l", 1, 1), 22: ("elbow_r", "wrist_r", 1, 1),
}  # fmt: skip


def chart_uv(vertices: ArrayLike, triangles: ArrayLike, labels: ArrayLike, anchors: Anchors) -> NDArray[np.float32]:
    """U and V at every corner of every labelled triangle of a rest body: float32 (T, 3, 2) in 0..1; 0 for background.

    Each chart spans 0..1 over the triangles given, so pass all meshes of a character together.
    """
    corners = anchors.to_body(np.asarray(vertices, np.float64))[np.asarray(triangles, np.int64)]
    labels = np.asarray(labels)
    uv = np.zeros((len(corners), 3, 2), np.float32)
    for label in np.unique(labels[labels > 0]):
        chart = np.flatnonzero(labels == label)
        u, v = _raw(int(label), corners[chart].reshape(-1, 3), anchors)
        uv[chart] = np.stack([_unit_range(u), _unit_range(v)], axis=1).reshape(-1, 3, 2)
    return uv


def _raw(label: int, p: Array, anchors: Anchors) -> tuple[Array, Array]:
    """U and V before they are scaled to 0..1, for points (N, 3) in body coordinates."""
    x, y = p[:, 0] - anchors.x0, p[:, 1]
    if label in _LIMB_CHARTS:
        start, end, u_sign, v_sign = _LIMB_CHARTS[label]
        t, angle = _cylinder(p, start, end, anchors)
        return u_sign * t, v_sign * angle
    if label in (1, 2):
        z = p[:, 2] - np.interp(y, anchors.depth[:, 0], anchors.depth[:, 1])
        return -y, -np.arctan2(x, z if label == 2 else -z)
    if label in (23, 24):
        middle = (p[:, 2].min() + p[:, 2].max()) / 2
        toward_front = np.arctan2(p[:, 2] - middle, np.abs(x))
        return (toward_front if label == 23 else -toward_front), y
    side = "l" if label in (4, 5) else "r"
    if label in (3, 4):
        t, angle = _cylinder(p, f"elbow_{side}", f"wrist_{side}", anchors)
        return angle, t
    return (p[:, 2] if side == "l" else -p[:, 2]), y  # feet


def _cylinder(p: Array, start: str, end: str, anchors: Anchors) -> tuple[Array, Array]:
    """Place along a limb, and angle about it from the chart's middle, in -pi..pi."""
    side = end[-1]
    forward = anchors.forearm_front.get(side, _FORWARD) if end.startswith("wrist") else _FORWARD
    frame = limb_frame(anchors.points[start], anchors.points[end], 1 if side == "l" else -1, forward)
    t, F, O = frame(p)  # noqa: E741
    angle = np.arctan2(O, F)
    middle = np.arctan2(np.sin(angle).mean(), np.cos(angle).mean())
    return t, (angle - middle + np.pi) % (2 * np.pi) - np.pi


def _unit_range(values: Array) -> Array:
    low, high = values.min(), values.max()
    scaled: Array = (values - low) / max(high - low, 1e-12)
    return scaled
