"""The sample character's action: walk in place and wave, a loop of two seconds.

The walk is the textbook one: joint angles of level human gait at eight moments of a stride (Winter, *Biomechanics and
Motor Control of Human Movement*), which are the animator's contact, down, passing and up poses of each leg.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mathutils import Matrix, Quaternion, Vector

from .skeleton import SMPLX_PARENTS

FRAMES = 48
KEY_STEP = 3
_KEYS_PER_STRIDE = 8

# Degrees at the eight moments of a stride, from heel strike: hip and knee flexion, ankle and toe dorsiflexion.
_HIP = (26, 20, 8, -4, -12, -3, 18, 28)
_KNEE = (5, 17, 12, 5, 14, 46, 60, 26)
_ANKLE = (2, -4, 5, 10, 2, -16, -3, 2)
_TOE = (4, 0, 0, 4, 24, 20, 0, 4)
# 1 = arm up and waving, at each key of the loop.
_RAISED = (0, 0.12, 0.6, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0.92, 0.6, 0.2, 0.03)

_X, _Y, _Z = Vector((1, 0, 0)), Vector((0, 1, 0)), Vector((0, 0, 1))


@dataclass(frozen=True)
class Pose:
    """Rotations of joints about the axes of the rest pose (Z up, facing -Y), and where the pelvis goes."""

    rotations: dict[str, Quaternion]
    pelvis_offset: Vector


def _turn(axis: Vector, degrees: float) -> Quaternion:
    return Quaternion(axis, math.radians(degrees))


def _frame(direction: Vector, facing: Vector) -> Matrix:
    """Axes whose first is direction and whose second is as near to facing as can be, as columns."""
    first = direction.normalized()
    second = (facing - first * facing.dot(first)).normalized()
    return Matrix((first, second, first.cross(second))).transposed()


def _aim(rest: tuple[Vector, Vector], target: tuple[Vector, Vector]) -> Quaternion:
    return (_frame(*target) @ _frame(*rest).transposed()).to_quaternion()


class _Posing:
    """Collects rotations; keeps the sum over each joint's parents, to aim a limb in the character's own space."""

    def __init__(self, joints: Mapping[str, Vector]) -> None:
        self.joints = joints
        self.rotations: dict[str, Quaternion] = {}

    def total(self, joint: str | None) -> Quaternion:
        if joint is None:
            return Quaternion()
        return self.total(SMPLX_PARENTS[joint]) @ self.rotations.get(joint, Quaternion())

    def aim(self, joint: str, rest: tuple[Vector, Vector], target: tuple[Vector, Vector]) -> Quaternion:
        """The rotation of joint that takes (direction, facing) of the rest pose to the target."""
        return self.total(SMPLX_PARENTS[joint]).inverted() @ _aim(rest, target)

    def place(self, joint: str, point: Vector) -> Vector:
        """Where a point fixed to the joint in the rest pose is now, with the pelvis at its rest position."""
        parent = SMPLX_PARENTS[joint]
        head = self.joints[joint] if parent is None else self.place(parent, self.joints[joint])
        return head + self.total(joint) @ (point - self.joints[joint])


def _legs(posing: _Posing, moment: int) -> None:
    for side, sign, shift in (("left", 1, 0), ("right", -1, _KEYS_PER_STRIDE // 2)):
        m = (moment + shift) % _KEYS_PER_STRIDE
        inwards = 5.0 * sign  # the rest pose stands with its legs apart
        posing.rotations[f"{side}_hip"] = _turn(_X, -_HIP[m]) @ _turn(_Y, inwards)
        posing.rotations[f"{side}_knee"] = _turn(_X, _KNEE[m])
        posing.rotations[f"{side}_ankle"] = _turn(_Y, -inwards) @ _turn(_X, -_ANKLE[m])
        posing.rotations[f"{side}_foot"] = _turn(_X, -_TOE[m])


def _body(posing: _Posing, moment: int) -> Vector:
    """Pelvis and spine counter-turn; returns the sway of the pelvis over the standing leg."""
    phase = 2 * math.pi * moment / _KEYS_PER_STRIDE
    turn, sway = math.cos(phase), math.sin(phase)
    posing.rotations["pelvis"] = _turn(_Z, -5 * turn) @ _turn(_Y, -2.5 * sway)
    posing.rotations["spine1"] = _turn(_Z, 4 * turn) @ _turn(_Y, 2.0 * sway)
    posing.rotations["spine2"] = _turn(_Z, 4 * turn) @ _turn(_X, 1.5)
    posing.rotations["head"] = _turn(_Z, -3 * turn) @ _turn(_Y, -0.5 * sway)
    return Vector((0.018 * sway, 0, 0))


def _hand_axes(joints: Mapping[str, Vector], side: str) -> tuple[Vector, Vector]:
    """Direction of the hand and of its palm's normal in the rest pose."""
    sign = 1 if side == "left" else -1
    wrist, index, pinky = (joints[f"{side}_{name}"] for name in ("wrist", "index1", "pinky1"))
    return joints[f"{side}_middle1"] - wrist, sign * (pinky - wrist).cross(index - wrist)


def _arm(posing: _Posing, side: str, upper: Vector, lower: Vector, palm: Vector) -> None:
    """Point upper arm and forearm, and turn the palm: half in the forearm, half in the wrist."""
    joints = posing.joints
    shoulder, elbow, wrist = (joints[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist"))
    rest_upper, rest_lower = elbow - shoulder, wrist - elbow
    hand, rest_palm = _hand_axes(joints, side)
    hinge_rest, hinge = rest_upper.cross(rest_lower), upper.cross(lower)
    posing.rotations[f"{side}_shoulder"] = posing.aim(f"{side}_shoulder", (rest_upper, hinge_rest), (upper, hinge))
    bent = posing.aim(f"{side}_elbow", (rest_lower, hinge_rest), (lower, hinge))
    turned = posing.aim(f"{side}_elbow", (rest_lower, rest_palm), (lower, palm))
    posing.rotations[f"{side}_elbow"] = bent.slerp(turned, 0.5)
    straight = posing.aim(f"{side}_wrist", (hand, rest_palm), (lower, palm))
    posing.rotations[f"{side}_wrist"] = Quaternion().slerp(straight, 0.8)


def _swinging_arm(posing: _Posing, side: str, moment: int) -> None:
    sign = 1 if side == "left" else -1
    forward = -sign * math.cos(2 * math.pi * moment / _KEYS_PER_STRIDE)  # with the other leg
    swing, bend = math.radians(6 + 20 * forward), math.radians(22 + 8 * forward)
    upper = Vector((0.2 * sign, -math.sin(swing), -math.cos(swing)))
    lower = Vector((0.06 * sign, -math.sin(swing + bend), -math.cos(swing + bend)))
    _arm(posing, side, upper, lower, Vector((-sign, 0.25, 0)))


def _waving_arm(posing: _Posing, side: str, moment: int) -> None:
    sign = 1 if side == "left" else -1
    tilt = math.radians(8 + 24 * math.sin(2 * math.pi * moment / 4))
    _arm(
        posing,
        side,
        Vector((sign * 0.86, -0.3, -0.28)),
        Vector((sign * math.sin(tilt), -0.22, math.cos(tilt))),
        Vector((0, -1, 0)),
    )
    posing.rotations[f"{side}_collar"] = _turn(_Y, -8 * sign)


def _pose(joints: Mapping[str, Vector], key: int) -> Pose:
    posing = _Posing(joints)
    moment = key % _KEYS_PER_STRIDE
    offset = _body(posing, moment)
    _legs(posing, moment)
    _swinging_arm(posing, "left", moment)
    _swinging_arm(posing, "right", moment)
    arm = [f"right_{name}" for name in ("collar", "shoulder", "elbow", "wrist")]
    down = {joint: posing.rotations.get(joint, Quaternion()) for joint in arm}
    _waving_arm(posing, "right", key + 1)
    for joint in arm:
        posing.rotations[joint] = down[joint].slerp(posing.rotations[joint], _RAISED[key])
    offset.z = -min(_soles(posing))
    return Pose(posing.rotations, offset)


def _soles(posing: _Posing) -> list[float]:
    """Heights of heels, balls and toes: the lower foot stands on the ground."""
    heights = []
    for side in ("left", "right"):
        ankle, ball = posing.joints[f"{side}_ankle"], posing.joints[f"{side}_foot"]
        heel, toe = Vector((ankle.x, ankle.y + 0.05, 0)), Vector((ball.x, ball.y - 0.07, 0))
        heights += [posing.place(f"{side}_ankle", point).z for point in (heel, Vector((ball.x, ball.y, 0)))]
        heights.append(posing.place(f"{side}_foot", toe).z)
    return heights


def walk_and_wave(joints: Mapping[str, Vector]) -> dict[int, Pose]:
    """Poses by frame, 1, 4, 7 ... 49, where frame 49 is frame 1 again.

    joints: rest positions by SMPL-X joint name, metres, Z up, facing -Y, soles at height 0.
    """
    keys = FRAMES // KEY_STEP
    poses = [_pose(joints, key) for key in range(keys)]
    return {1 + KEY_STEP * key: poses[key % keys] for key in range(keys + 1)}
