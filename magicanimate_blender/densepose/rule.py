"""Points and faces of a rest body -> DensePose labels.

The constants were fitted on the published DensePose charts of SMPL and SMPL-X in T-pose, where faces agree on 99 % of
the area. Labels are computed once, in the rest pose, and stay with the faces however they are posed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .anchors import Anchors, find_anchors
from .errors import DensePoseError
from .joints import Joints
from .limbs import FOREARM, SHIN, THIGH, UPPER_ARM, limb_frame
from .segments import ARMS, LEGS, MIRROR_SEGMENT, SEGMENTS, index_of, majority
from .transfer import nearest_triangles

__all__ = ["label_faces", "label_points"]

Points = NDArray[np.float64]
Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]

_TORSO, _HEAD = index_of("torso"), index_of("head")
_TORSO_BACK, _TORSO_FRONT = 1, 2
_HAND = {"l": 4, "r": 3}
_FOOT = {"l": 5, "r": 6}
_UPPER_LEG = {"l": (10, 8), "r": (9, 7)}  # front, back
_LOWER_LEG = {"l": (14, 12), "r": (13, 11)}
_UPPER_ARM = {"l": (15, 17), "r": (16, 18)}  # inside, outside
_LOWER_ARM = {"l": (19, 21), "r": (20, 22)}
_HEAD_HALF = {"l": 24, "r": 23}
_SIGN = {"l": 1, "r": -1}
_FORWARD = np.array([0.0, 0.0, 1.0])
_LEFT = np.array([1.0, 0.0, 0.0])

# the lower edge of the torso's front, a V as of briefs: distance from the middle in hip widths -> height over the
# crotch in inseams
_BRIEFS = np.array(
    [(0, 0), (.09, .008), (.19, .030), (.31, .060), (.455, .089), (.61, .112), (.755, .128), (.875, .141), (.95, .160),
     (1, .168)]
)  # fmt: skip
_LEG_TOP = 0.168  # the torso's back ends in a straight line there


def label_faces(
    vertices: ArrayLike,
    triangles: ArrayLike,
    segment_weights: ArrayLike,
    joints: Joints | None = None,
    *,
    anchors: Anchors | None = None,
    up: ArrayLike | None = None,
    forward: ArrayLike | None = None,
    palms: str = "auto",
) -> Labels:
    """Label every triangle of a rest mesh: uint8 (T,), 1..24.

    vertices (V, 3), triangles (T, 3), segment_weights (V, 14) from `sum_by_segment`.
    anchors: those of the character's body, for its clothes and other meshes; found on this mesh where not given, with
    joints, up, forward and palms as in `find_anchors`. Faces without weights take the label of the nearest one with.
    Raises DensePoseError.
    """
    vertices, triangles, segment_weights = checked_mesh(vertices, triangles, segment_weights)
    if anchors is None:
        anchors = find_anchors(vertices, triangles, segment_weights, joints, up=up, forward=forward, palms=palms)
    segment = majority(segment_weights, triangles)
    if (segment < 0).all():
        raise DensePoseError(
            "The mesh has no weights for the rig's bones.", "Parent it to the armature with automatic weights."
        )
    labels = label_points(vertices[triangles].mean(axis=1), segment, anchors)
    unweighted = segment < 0
    if unweighted.any():
        known = np.flatnonzero(~unweighted)
        centres = vertices[triangles[unweighted]].mean(axis=1)
        labels[unweighted] = labels[known[nearest_triangles(centres, vertices, triangles[known])]]
    return labels


def checked_mesh(
    vertices: ArrayLike, triangles: ArrayLike, segment_weights: ArrayLike
) -> tuple[Points, NDArray[np.int64], Points]:
    """The three arrays with their types and shapes; raises DensePoseError for an empty or broken mesh."""
    vertices = np.asarray(vertices, np.float64).reshape(-1, 3)
    triangles = np.asarray(triangles, np.int64).reshape(-1, 3)
    segment_weights = np.asarray(segment_weights, np.float64)
    if not len(vertices) or not len(triangles):
        raise DensePoseError("The mesh has no faces.", "Choose the mesh that the rig deforms.")
    if segment_weights.shape != (len(vertices), len(SEGMENTS)):
        raise DensePoseError(
            f"Weights of shape {segment_weights.shape} do not fit {len(vertices)} vertices, {len(SEGMENTS)} segments.",
            "Sum the skin weights with sum_by_segment.",
        )
    if not np.isfinite(vertices).all():
        raise DensePoseError("Some vertices of the mesh are not numbers.", "Look for broken modifiers or shape keys.")
    if triangles.min() < 0 or triangles.max() >= len(vertices):
        raise DensePoseError("Some faces name vertices that are not there.", "Run Mesh > Clean Up on the mesh.")
    return vertices, triangles, segment_weights


def label_points(points: ArrayLike, segment: NDArray[np.int8], anchors: Anchors) -> Labels:
    """Label points of the rest surface: (N, 3) in mesh coordinates, segment int8 (N,) -> uint8 (N,).

    Points with segment -1 are labelled as torso. Later parts override earlier ones.
    """
    p = anchors.to_body(points)
    segment = np.where(segment < 0, _TORSO, segment)
    if anchors.swapped:
        segment = MIRROR_SEGMENT[segment]
    torso = segment == _TORSO
    labels = np.where(_torso_front(p, anchors), _TORSO_FRONT, _TORSO_BACK).astype(np.uint8)
    is_head = _head(p, segment, anchors)
    labels[is_head] = np.where(p[is_head, 0] > anchors.x0, _HEAD_HALF["l"], _HEAD_HALF["r"])
    for side, sign in _SIGN.items():
        on_side = torso & (sign * (p[:, 0] - anchors.x0) > 0)
        _label_leg(p, segment, on_side, side, anchors, labels)
        _label_arm(p, segment, on_side, side, anchors, labels)
    return labels


def _torso_front(p: Points, anchors: Anchors) -> Mask:
    H = anchors.torso_height
    Y = (p[:, 1] - anchors.crotch) / H
    X = np.abs(p[:, 0] - anchors.x0) / H
    Z = (p[:, 2] - np.interp(p[:, 1], anchors.depth[:, 0], anchors.depth[:, 1])) / H
    front: Mask = -0.028 + Z + 0.496 * Y - 0.049 * X - 0.090 * X * Y - 0.453 * Y**2 - 0.013 * X**2 > 0
    return front


def _head(p: Points, segment: NDArray[np.int8], anchors: Anchors) -> Mask:
    """Head and neck, above a collar that tilts down to the front."""
    neck, H = anchors.points["neck"], anchors.torso_height
    above = ((p[:, 1] - neck[1]) + 0.18 * (p[:, 2] - neck[2])) / H
    X = np.abs(p[:, 0] - anchors.x0) / H
    head = segment == _HEAD
    collar: Mask = (head | (segment == _TORSO)) & (above > 0.003) & (X < 0.15)
    crown: Mask = head & (above > 0.06)
    return collar | crown


def _label_leg(
    p: Points, segment: NDArray[np.int8], on_side: Mask, side: str, anchors: Anchors, labels: Labels
) -> None:
    hip, knee, ankle = (anchors.points[f"{n}_{side}"] for n in ("hip", "knee", "ankle"))
    thigh, calf, foot = (segment == index_of(f"{n}_{side}") for n in LEGS)
    x = np.abs(p[:, 0] - anchors.x0) / anchors.hip_width
    y = (p[:, 1] - anchors.crotch) / anchors.inseam
    z = (p[:, 2] - anchors.hip_z) / anchors.hip_depth
    zone = (y < _LEG_TOP) & ((y < np.interp(x, _BRIEFS[:, 0], _BRIEFS[:, 1])) | (z < 0.5 - 0.68 * x))
    leg = np.flatnonzero(((thigh | on_side) & zone) | calf | foot)
    lower_frame = limb_frame(knee, ankle, _SIGN[side], _FORWARD)
    upper_frame = limb_frame(hip, knee, _SIGN[side], _FORWARD)
    t, F, O = lower_frame(p[leg])  # noqa: E741
    upper = np.where(THIGH.front(*upper_frame(p[leg])), *_UPPER_LEG[side])
    lower = np.where(SHIN.front(t, F, O), *_LOWER_LEG[side])
    below_knee = t > 0.070 + 0.165 * F + 0.02 * O
    below_ankle = t > 0.950 - 0.024 * F + 0.025 * O
    labels[leg] = np.where(below_ankle, _FOOT[side], np.where(below_knee, lower, upper))


def _label_arm(
    p: Points, segment: NDArray[np.int8], on_side: Mask, side: str, anchors: Anchors, labels: Labels
) -> None:
    shoulder, elbow, wrist = (anchors.points[f"{n}_{side}"] for n in ("shoulder", "elbow", "wrist"))
    uarm, farm, hand = (segment == index_of(f"{n}_{side}") for n in ARMS)
    sign = _SIGN[side]
    upper_frame = limb_frame(shoulder, elbow, sign, _FORWARD)
    # the shoulder's border lies in the plane that halves the angle of arm and shoulder line, so that A-poses keep it
    plane = limb_frame(shoulder, elbow, sign, _FORWARD, along=upper_frame.axes[0] + sign * _LEFT)
    lower_frame = limb_frame(elbow, wrist, sign, anchors.forearm_front.get(side, _FORWARD))

    near = np.flatnonzero(uarm | farm | hand | on_side)
    t, F, O = upper_frame(p[near])  # noqa: E741
    ts, Fs, Os = plane(p[near])
    inside = UPPER_ARM.front(t, F, O)
    beyond = np.where(inside, ts > -0.092 - 0.18 * Fs + 0.05 * Os, ts > -0.087 + 0.13 * Fs + 0.15 * Os)
    candidate = uarm[near] | (on_side[near] & (np.hypot(F, O) < 0.45))
    is_arm = (candidate & beyond) | farm[near] | hand[near]
    arm = near[is_arm]

    upper = np.where(inside[is_arm], *_UPPER_ARM[side])
    t, F, O = lower_frame(p[arm])  # noqa: E741
    lower = np.where(FOREARM.front(t, F, O), *_LOWER_ARM[side])
    below_elbow = t > 0.011 + 0.06 * F + 0.10 * O
    below_wrist = t > 0.990 + 0.08 * F - 0.10 * O
    labels[arm] = np.where(below_wrist, _HAND[side], np.where(below_elbow, lower, upper))
