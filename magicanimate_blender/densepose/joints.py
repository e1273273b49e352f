"""Where a rig's bones bend: needed only where the mesh itself does not tell (separate parts, turned palms)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .bones import BoneSegments
from .segments import SEGMENTS

__all__ = ["Joints", "joints_of_bones"]

_JOINT_OF_SEGMENT = {
    "uarm": "shoulder",
    "farm": "elbow",
    "hand": "wrist",
    "thigh": "hip",
    "calf": "knee",
    "foot": "ankle",
}
_THUMB = re.compile(r"thumb|finger1-1|finger0", re.IGNORECASE)


@dataclass(frozen=True)
class Joints:
    """Rest positions (3,) of joints, in the mesh's coordinates.

    positions: keys "neck" and shoulder_, elbow_, wrist_, thumb_, hip_, knee_, ankle_ + l or r; any may lack.
    heads_inside: True for SMPL-like rigs, whose joints sit above the borders of the parts (BoneSegments.heads_inside).
    """

    positions: Mapping[str, NDArray[np.float64]]
    heads_inside: bool = False


def joints_of_bones(bones: BoneSegments, names: Sequence[str], parents: Sequence[int], heads: ArrayLike) -> Joints:
    """The joints of a rig: each is the head of the bone that begins its segment.

    heads: (B, 3) rest positions of bone heads, in the mesh's coordinates.
    Of several bones that begin a segment (twist helpers) the one with most descendants counts.
    """
    heads = np.asarray(heads, np.float64)
    descendants = _descendants(parents)
    positions: dict[str, NDArray[np.float64]] = {}
    for i, name in enumerate(SEGMENTS):
        begins = [b for b in np.flatnonzero(bones.segment == i) if parents[b] < 0 or bones.segment[parents[b]] != i]
        if not begins or name == "torso":
            continue
        first = max(begins, key=lambda b: descendants[b])
        part, _, side = name.partition("_")
        positions[f"{_JOINT_OF_SEGMENT[part]}_{side}" if side else "neck"] = heads[first]
        thumbs = [b for b in np.flatnonzero(bones.segment == i) if part == "hand" and _THUMB.search(names[b])]
        if thumbs:
            positions[f"thumb_{side}"] = heads[max(thumbs, key=lambda b: descendants[b])]
    return Joints(positions, bones.heads_inside)


def _descendants(parents: Sequence[int]) -> NDArray[np.int64]:
    count = np.zeros(len(parents), np.int64)
    for bone in range(len(parents)):
        ancestor = int(parents[bone])
        while ancestor >= 0:
            count[ancestor] += 1
            ancestor = int(parents[ancestor])
    return count
