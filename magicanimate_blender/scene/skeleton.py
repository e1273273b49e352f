"""The 55 joints of SMPL-X, in the model's order, with their parents (Pavlakos et al., 2019)."""

from __future__ import annotations

_FINGERS = ("index", "middle", "pinky", "ring", "thumb")
_BODY = (
    ("pelvis", None),
    ("left_hip", "pelvis"),
    ("right_hip", "pelvis"),
    ("spine1", "pelvis"),
    ("left_knee", "left_hip"),
    ("right_knee", "right_hip"),
    ("spine2", "spine1"),
    ("left_ankle", "left_knee"),
    ("right_ankle", "right_knee"),
    ("spine3", "spine2"),
    ("left_foot", "left_ankle"),
    ("right_foot", "right_ankle"),
    ("neck", "spine3"),
    ("left_collar", "spine3"),
    ("right_collar", "spine3"),
    ("head", "neck"),
    ("left_shoulder", "left_collar"),
    ("right_shoulder", "right_collar"),
    ("left_elbow", "left_shoulder"),
    ("right_elbow", "right_shoulder"),
    ("left_wrist", "left_elbow"),
    ("right_wrist", "right_elbow"),
    ("jaw", "head"),
    ("left_eye_smplhf", "head"),
    ("right_eye_smplhf", "head"),
)
_HANDS = tuple(
    (f"{side}_{finger}{number}", f"{side}_{finger}{number - 1}" if number > 1 else f"{side}_wrist")
    for side in ("left", "right")
    for finger in _FINGERS
    for number in (1, 2, 3)
)

SMPLX_PARENTS: dict[str, str | None] = dict(_BODY + _HANDS)
SMPLX_JOINTS: tuple[str, ...] = tuple(SMPLX_PARENTS)
