"""The CC0 bodies for tests and pictures: rest meshes, the weights that MPFB's rigs give them, rest poses from T to A.

The bodies are the sample character's (MakeHuman base mesh, CC0). `rig_weights.npz` holds the weights of MPFB2's own
rigs on the same mesh (makehumancommunity.org, CC0 1.0), written by `tools/bake_rig_weights.py`: MakeHuman default,
Mixamo, game_engine (Unreal's names), cmu_mb and Rigify's human_toes with its helper bones. SMPL-X is the sample
character's own. VRM is Mixamo's skeleton under VRoid's names. Nothing is moved or smoothed: each rig's weight rings
are where its makers put them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from magicanimate_blender.densepose.bones import BoneSegments, segments_of_bones
from magicanimate_blender.densepose.segments import sum_by_segment

ROOT = Path(__file__).resolve().parent.parent
BODIES = ROOT / "magicanimate_blender" / "assets" / "sample_body.npz"
RIG_WEIGHTS = ROOT / "tests" / "magicanimate_blender" / "densepose" / "rig_weights.npz"
KINDS = ("female", "male")
MPFB_RIGS = {
    "MakeHuman": "standard/weights.default.json",
    "Mixamo": "standard/weights.mixamo.json",
    "Unreal": "standard/weights.game_engine.json",
    "CMU": "standard/weights.cmu_mb.json",
    "Rigify": "rigify/weights.human_toes.json",
}
RIGS = ("SMPL-X", *MPFB_RIGS, "VRM")

FINGERS = ("thumb", "index", "middle", "ring", "pinky")
SMPLX_PARENT = {
    "pelvis": None, "spine1": "pelvis", "spine2": "spine1", "spine3": "spine2", "neck": "spine3", "head": "neck",
    "jaw": "head",
}  # fmt: skip
for _side in ("left", "right"):
    _chains = (
        ("hip", "pelvis"), ("knee", "hip"), ("ankle", "knee"), ("foot", "ankle"),
        ("collar", "spine3"), ("shoulder", "collar"), ("elbow", "shoulder"), ("wrist", "elbow"), ("eye_smplhf", "head"),
    )  # fmt: skip
    for _name, _parent in _chains:
        SMPLX_PARENT[f"{_side}_{_name}"] = _parent if _parent in SMPLX_PARENT else f"{_side}_{_parent}"
    for _finger in FINGERS:
        for _k in (1, 2, 3):
            SMPLX_PARENT[f"{_side}_{_finger}{_k}"] = f"{_side}_{_finger}{_k - 1}" if _k > 1 else f"{_side}_wrist"


class Body(NamedTuple):
    """A rest body, Y up, looking along +Z, in metres: vertices (V, 3), triangles (T, 3), SMPL-X joints by name."""

    vertices: np.ndarray
    triangles: np.ndarray
    joints: dict[str, np.ndarray]


class Rig(NamedTuple):
    """Bone names, parents (-1 for roots), and per vertex the numbers and weights (V, 4) of its bones."""

    names: list[str]
    parents: list[int]
    bones: np.ndarray
    weights: np.ndarray

    def segments(self) -> BoneSegments:
        return segments_of_bones(self.names, self.parents)

    def segment_weights(self, segments: BoneSegments | None = None) -> np.ndarray:
        """(V, 14)"""
        vertex = np.repeat(np.arange(len(self.bones)), self.bones.shape[1])
        segment = (segments or self.segments()).segment
        return sum_by_segment(vertex, self.bones.ravel(), self.weights.ravel(), segment, len(self.bones))


def load_body(kind: str) -> Body:
    """The sample character, "female" or "male"."""
    data = np.load(BODIES)
    quads = data["quads"].astype(np.int64)
    triangles = np.stack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], axis=1).reshape(-1, 3)
    vertices = data[f"vertices_{kind}"] / float(data["steps_per_metre"])
    joints = data[f"joints_{kind}"].astype(np.float64)
    return Body(y_up(vertices), triangles, dict(zip(SMPLX_ORDER, y_up(joints), strict=True)))


def y_up(points: np.ndarray) -> np.ndarray:
    """Blender's Z up, facing -Y -> Y up, facing +Z."""
    return np.stack([points[:, 0], points[:, 2], -points[:, 1]], axis=1)


SMPLX_ORDER = [
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3",
    "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "jaw", "left_eye_smplhf", "right_eye_smplhf",
    *(f"{side}_{finger}{k}" for side in ("left", "right") for finger in ("index", "middle", "pinky", "ring", "thumb")
      for k in (1, 2, 3)),
]  # fmt: skip


@cache
def load_rig(name: str) -> Rig:
    """One of RIGS on the body's vertices (the same for both bodies)."""
    if name == "SMPL-X":
        data = np.load(BODIES)
        parents = [SMPLX_ORDER.index(SMPLX_PARENT[n]) if SMPLX_PARENT[n] else -1 for n in SMPLX_ORDER]
        return Rig(SMPLX_ORDER, parents, data["weight_joints"], data["weights"] / 255)
    source = "Mixamo" if name == "VRM" else name
    data = np.load(RIG_WEIGHTS)
    names = [str(n) for n in data[f"{source}_names"]]
    names = [vroid_name(n) for n in names] if name == "VRM" else names
    return Rig(names, data[f"{source}_parents"].tolist(), data[f"{source}_bones"], data[f"{source}_weights"] / 255)


def vroid_name(mixamo: str) -> str:
    """ "mixamorig:LeftForeArm" -> "J_Bip_L_LowerArm"."""
    name = mixamo.split(":")[-1]
    side = "L" if name.startswith("Left") else "R" if name.startswith("Right") else "C"
    part = name.removeprefix("Left").removeprefix("Right").removeprefix("Hand") or "Hand"
    renamed = {
        "UpLeg": "UpperLeg", "Leg": "LowerLeg", "Arm": "UpperArm", "ForeArm": "LowerArm",
        "Spine1": "Chest", "Spine2": "UpperChest",
    }  # fmt: skip
    return f"J_Bip_{side}_{renamed.get(part, part.replace('Pinky', 'Little'))}"


def pose_arms(body: Body, degrees_down: float) -> Body:
    """The body with straight arms so many degrees down from a T-pose, whose palms look down and thumbs forward."""
    rig = load_rig("SMPL-X")
    rotations: dict[str, np.ndarray] = {}
    for side, sign in (("left", 1), ("right", -1)):
        shoulder, elbow, wrist, thumb = (body.joints[f"{side}_{n}"] for n in ("shoulder", "elbow", "wrist", "thumb1"))
        along = np.array([sign * np.cos(np.radians(degrees_down)), -np.sin(np.radians(degrees_down)), 0.0])
        upper = turn(elbow - shoulder, along)
        lower = turn(upper @ (wrist - elbow), along) @ upper
        # half of the roll that brings the thumb forward at the elbow, half at the wrist
        pointing = lower @ (thumb - wrist)
        pointing = pointing - along * (pointing @ along)
        palmward = sign * np.cross(along, [0.0, 0.0, 1.0])
        wanted = np.cos(np.radians(18)) * np.array([0.0, 0.0, 1.0]) + np.sin(np.radians(18)) * palmward
        roll = np.arctan2(np.cross(pointing, wanted) @ along, pointing @ wanted)
        rotations[f"{side}_shoulder"] = upper
        rotations[f"{side}_elbow"] = about(along, roll / 2) @ lower
        rotations[f"{side}_wrist"] = about(along, roll) @ lower
    return _skinned(body, rig, rotations)


def turn(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The smallest rotation (3, 3) that takes one direction to another."""
    a, b = start / np.linalg.norm(start), end / np.linalg.norm(end)
    axis = np.cross(a, b)
    return about(axis, np.arctan2(np.linalg.norm(axis), a @ b)) if np.linalg.norm(axis) > 1e-12 else np.eye(3)


def about(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rotation (3, 3) about an axis, by Rodrigues' formula."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _skinned(body: Body, rig: Rig, rotations: dict[str, np.ndarray]) -> Body:
    """Linear blend skinning with world rotations of some joints; the others follow their parents."""
    turned: dict[str, np.ndarray] = {}
    placed: dict[str, np.ndarray] = {}
    for name in sorted(SMPLX_ORDER, key=_depth):
        parent = SMPLX_PARENT[name]
        turned[name] = rotations.get(name, turned[parent] if parent else np.eye(3))
        rest = body.joints[name]
        placed[name] = placed[parent] + turned[parent] @ (rest - body.joints[parent]) if parent else rest
    matrices = np.stack([turned[n] for n in SMPLX_ORDER])
    offsets = np.stack([placed[n] - turned[n] @ body.joints[n] for n in SMPLX_ORDER])
    weights = rig.weights / rig.weights.sum(axis=1, keepdims=True)
    vertices = np.einsum("vk,vkij,vj->vi", weights, matrices[rig.bones], body.vertices)
    return Body(vertices + np.einsum("vk,vki->vi", weights, offsets[rig.bones]), body.triangles, placed)


def _depth(name: str) -> int:
    parent = SMPLX_PARENT[name]
    return 0 if parent is None else 1 + _depth(parent)
