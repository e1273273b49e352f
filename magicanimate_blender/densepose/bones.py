"""Bone names -> body segments, for any humanoid rig."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .bone_tables import FAMILIES, GENERIC_CENTRE, GENERIC_LIMBS, PREFIXES, Family
from .errors import DensePoseError
from .segments import ARMS, LEGS, SEGMENTS, index_of

__all__ = ["GENERIC", "BoneSegments", "segments_of_bones"]

GENERIC = "generic"
_MIN_SEGMENTS = 4  # a family is recognised when its names cover at least so many of the 14 segments
_HELPER = re.compile(
    r"\b(helper|corrective)\b"
)  # they straddle the joint that they round off: their weights tell nothing
_SPOKEN = {
    "uarm": "upper arm",
    "farm": "lower arm",
    "hand": "hand",
    "thigh": "thigh",
    "calf": "lower leg",
    "foot": "foot",
}


@dataclass(frozen=True)
class BoneSegments:
    """What a rig's bone names mean.

    segment: int8 (B,), index into SEGMENTS; -1 for a bone without a mapped ancestor, and for helper bones at joints.
    family: name of the rig family, or GENERIC.
    unknown: names found in no table; they took the segment of their nearest mapped ancestor, or -1.
    heads_inside: the family's bone heads sit above the weight rings (see anchors).
    """

    segment: NDArray[np.int8]
    family: str
    unknown: tuple[str, ...]
    heads_inside: bool = False

    def missing(self) -> tuple[str, ...]:
        """Names, in words, of the segments that no bone stands for."""
        return tuple(spoken_segment(name) for i, name in enumerate(SEGMENTS) if not (self.segment == i).any())

    def require_whole_body(self) -> None:
        """Raise DensePoseError when a part that labels are measured from has no bone; hands, feet and head may lack."""
        needed = {spoken_segment(n) for n in SEGMENTS if n.split("_")[0] in ("torso", "uarm", "farm", "thigh", "calf")}
        missing = [name for name in self.missing() if name in needed]
        if missing:
            raise DensePoseError(
                f"The rig has no bone for the {_listed(missing)}.",
                "Name those bones after a known rig (Rigify, Mixamo, MakeHuman, Unreal, VRM, SMPL-X), or add them.",
            )


def spoken_segment(name: str) -> str:
    """A segment's name in words: "uarm_l" -> "left upper arm"."""
    part, _, side = name.partition("_")
    return f"{ {'l': 'left', 'r': 'right'}[side] } {_SPOKEN[part]}" if side else part


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def segments_of_bones(
    names: Sequence[str], parents: Sequence[int], humanoid: Mapping[str, str] | None = None
) -> BoneSegments:
    """Map bones to segments: by the best fitting family's table, else by the words in the name, else as the parent.

    names: bone names. parents: index of each bone's parent, -1 for a root.
    humanoid: VRM humanoid bone -> bone name ("leftUpperArm" -> "Arm_L"), where the file says so; it goes before tables.
    Raises DensePoseError if there are no bones or none has a name that means anything.
    """
    if not names:
        raise DensePoseError("The armature has no bones.", "Choose an armature with a humanoid skeleton.")
    plain = [_plain(name) for name in names]
    family, found = _best_family(plain)
    if humanoid:
        meant = {bone: key.lower() for key, bone in humanoid.items()}
        table = _compiled("VRM humanoid")
        found = [_lookup(meant[n], table) if n in meant else s for n, s in zip(names, found, strict=True)]
    words = [_words(name) for name in names]
    helper = [bool(_HELPER.search(w)) for w in words]
    shoulder_is_arm, hip_is_thigh = _joint_named(words)
    segment = np.full(len(names), -1, np.int8)
    for i in range(len(names)):
        if helper[i]:
            continue
        own = found[i]
        segment[i] = own if own >= 0 else _by_words(words[i], shoulder_is_arm, hip_is_thigh)
    unknown = tuple(name for name, s, skip in zip(names, segment, helper, strict=True) if s < 0 and not skip)
    if (segment < 0).all():
        raise DensePoseError(
            f"None of the {len(names)} bone names means a part of a body (the first is “{names[0]}”).",
            "Rename the bones after a known rig (Rigify, Mixamo, MakeHuman, Unreal, VRM or SMPL-X).",
        )
    resolved = segment.copy()
    for i in range(len(names)):
        bone, steps = i, 0
        while bone >= 0 and segment[bone] < 0 and steps <= len(names):
            bone, steps = int(parents[bone]), steps + 1
        resolved[i] = segment[bone] if bone >= 0 and not helper[i] else -1
    _lower_neck_is_torso(resolved, parents)
    return BoneSegments(resolved, family.name if family else GENERIC, unknown, bool(family and family.heads_inside))


def _lower_neck_is_torso(segment: NDArray[np.int8], parents: Sequence[int]) -> None:
    """A "neck" that carries the arms is chest: rigs count spine bones differently (MPFB's Rigify has one more)."""
    for arm in np.flatnonzero(np.isin(segment, [index_of("uarm_l"), index_of("uarm_r")])):
        bone, steps = int(parents[arm]), 0
        while bone >= 0 and steps <= len(segment):
            if segment[bone] == index_of("head"):
                segment[bone] = index_of("torso")
            bone, steps = int(parents[bone]), steps + 1


def _plain(name: str) -> str:
    name = name.rsplit(":", 1)[-1].lower()
    return re.sub(f"^{PREFIXES}+", "", name)


@cache
def _compiled(name: str) -> list[tuple[re.Pattern[str], int]]:
    """Patterns and segments of the family with that name."""
    family = next(f for f in FAMILIES if f.name == name)
    rows = [(pattern, segment) for segment, patterns in family.centre.items() for pattern in patterns.split()]
    for side, s in (("left", "l"), ("right", "r")):
        for part, patterns in family.paired.items():
            segment = part if part in ("torso", "head") else f"{part}_{s}"
            rows += [(pattern.format(side=side, s=s), segment) for pattern in patterns.split()]
    return [(re.compile(translate(pattern)), index_of(segment)) for pattern, segment in rows]


def _lookup(plain_name: str, table: list[tuple[re.Pattern[str], int]]) -> int:
    return next((segment for pattern, segment in table if pattern.match(plain_name)), -1)


def _best_family(plain: Sequence[str]) -> tuple[Family | None, list[int]]:
    """The family whose names cover the most segments, then the most bones; and each bone's segment by its table."""
    best: tuple[tuple[int, int], Family | None, list[int]] = ((_MIN_SEGMENTS, 0), None, [-1] * len(plain))
    for family in FAMILIES:
        table = _compiled(family.name)
        found = [_lookup(name, table) for name in plain]
        score = (len(set(found) - {-1}), sum(s >= 0 for s in found))
        if score > best[0]:
            best = (score, family, found)
    return best[1], best[2]


def _words(name: str) -> str:
    """ "CC_Base_L_ForeArm01" -> "cc base l fore arm 01"."""
    name = name.rsplit(":", 1)[-1]
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    text = " ".join(words).lower()
    return re.sub(r"\b(left|right)(?=[a-z])", r"\1 ", re.sub(r"(?<=[a-z])(left|right)\b", r" \1", text))


def _side(words: str) -> str:
    if re.search(r"\b(l|left)\b", words):
        return "l"
    return "r" if re.search(r"\b(r|right)\b", words) else ""


def _joint_named(words: Sequence[str]) -> tuple[bool, bool]:
    """Whether "shoulder" means upper arm and "hip" thigh, as in rigs named after joints: where no other name does."""

    def any_limb(part: str) -> bool:
        pattern = dict(GENERIC_LIMBS)[part]
        return any(_side(w) and re.search(pattern, w) for w in words)

    return not any_limb("uarm"), not any_limb("thigh")


def _by_words(words: str, shoulder_is_arm: bool, hip_is_thigh: bool) -> int:
    side = _side(words)
    if side:
        if shoulder_is_arm and re.search(r"\bshoulder\b", words):
            return index_of(f"uarm_{side}")
        if hip_is_thigh and re.search(r"\bhip\b", words):
            return index_of(f"thigh_{side}")
        # "shoulder" and the like go before "arm": ShoulderArm helpers sit on the torso
        if not re.search(GENERIC_CENTRE[1][1], words):
            for part, pattern in GENERIC_LIMBS:
                if re.search(pattern, words):
                    return index_of(f"{part}_{side}")
    for centre, pattern in GENERIC_CENTRE:
        if re.search(pattern, words):
            return index_of(centre)
    return -1


assert {part for part, _ in GENERIC_LIMBS} == {*ARMS, *LEGS}
