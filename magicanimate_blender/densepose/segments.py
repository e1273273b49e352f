"""The 14 segments of a body: what skin weights tell, before geometry splits them into front and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["ARMS", "LEGS", "MIRROR_SEGMENT", "SEGMENTS", "index_of", "majority", "strongest", "sum_by_segment"]

SEGMENTS: tuple[str, ...] = (
    "torso", "head",
    "uarm_l", "farm_l", "hand_l", "thigh_l", "calf_l", "foot_l",
    "uarm_r", "farm_r", "hand_r", "thigh_r", "calf_r", "foot_r",
)  # fmt: skip
"""Clavicles are torso; neck, jaw, eyes and face are head."""

ARMS = ("uarm", "farm", "hand")
LEGS = ("thigh", "calf", "foot")

MIRROR_SEGMENT: NDArray[np.int8] = np.array([0, 1, 8, 9, 10, 11, 12, 13, 2, 3, 4, 5, 6, 7], np.int8)
"""(14,): the segment on the body's other side."""


def index_of(name: str) -> int:
    """Index of a segment name such as "uarm_l" in SEGMENTS."""
    return SEGMENTS.index(name)


def sum_by_segment(
    vertex: ArrayLike, bone: ArrayLike, weight: ArrayLike, segment_of_bone: ArrayLike, vertex_count: int
) -> NDArray[np.float64]:
    """Skin weights as triples (vertex, bone, weight), summed per segment: float64 (V, 14).

    Bones whose segment is -1 count for nothing. A vertex without any weight keeps a row of zeros.
    """
    vertex, bone = np.asarray(vertex, np.int64), np.asarray(bone, np.int64)
    segment = np.asarray(segment_of_bone, np.int64)[bone]
    known = segment >= 0
    flat = np.bincount(
        vertex[known] * len(SEGMENTS) + segment[known],
        np.asarray(weight, np.float64)[known],
        minlength=vertex_count * len(SEGMENTS),
    )
    return flat.reshape(vertex_count, len(SEGMENTS)).astype(np.float64)


def strongest(segment_weights: NDArray[np.float64]) -> NDArray[np.int8]:
    """The segment with the largest weight per row, -1 where all weights are zero: int8 (V,)."""
    segment: NDArray[np.int8] = segment_weights.argmax(1).astype(np.int8)
    segment[segment_weights.max(1) <= 0] = -1
    return segment


def majority(segment_weights: NDArray[np.float64], triangles: NDArray[np.int64]) -> NDArray[np.int8]:
    """The segment of each triangle: that of most of its vertices, by summed weight where they draw: int8 (T,)."""
    vertex_segment = strongest(segment_weights)
    votes = np.eye(len(SEGMENTS) + 1)[vertex_segment][:, :-1]  # the row of -1 is the last one: no vote
    score = (votes + 0.1 * segment_weights / np.maximum(segment_weights.sum(1, keepdims=True), 1e-12))[triangles].sum(1)
    return strongest(score)
