"""Random motions: smooth joint-angle paths for arms, legs, spine and head, and a way to face."""

import numpy as np

from inference_server.training.bodies import Array, Body

FRAMES_PER_SECOND = 16


def rotation(axis: Array | list[float], angle: Array) -> Array:
    """Rodrigues' formula: rotation matrices (F, 3, 3) about one axis by angles (F,) in radians."""
    x, y, z = np.asarray(axis, np.float64) / np.linalg.norm(axis)
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.asarray(angle)[..., None, None]
    return np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * (K @ K)


def _swing(rng: np.random.Generator, frames: int, low: float, high: float, speed: float) -> Array:
    """A path of angles (F,) in radians between two given in degrees: two sines of random rate and phase."""
    t = np.arange(frames) / FRAMES_PER_SECOND
    wave = sum(np.sin(2 * np.pi * (rng.uniform(0.35, 1.0) * k * speed * t + rng.uniform())) / k for k in (1, 2))
    return np.radians(low + (high - low) * np.clip((wave / 1.3 + 1) / 2, 0, 1))


def random_motion(rng: np.random.Generator, frames: int, body: Body, *, front: bool = False) -> dict[str, Array]:
    """Joint rotations (F, 3, 3) by joint name; `front`: facing the camera, as reference pictures do."""
    speed = rng.uniform(0.5, 1.3)

    def swing(low: float, high: float) -> Array:
        return _swing(rng, frames, low, high, speed)

    rotations: dict[str, Array] = {}
    for side, sign in (("left", 1), ("right", -1)):
        upper_arm = body.joints[f"{side}_elbow"] - body.joints[f"{side}_shoulder"]
        lift = rng.choice([-10, 20, 60, 100])  # from the rest pose's A: -35 hangs, 48 is level, 100 is up
        rotations[f"{side}_shoulder"] = rotation([0, 0, 1], sign * swing(-35, lift)) @ rotation(
            [0, 1, 0], -sign * swing(-10, 45)
        )
        rotations[f"{side}_elbow"] = rotation(np.cross(upper_arm, [0, 0, 1]), swing(-40, 65))
        stride = rng.choice([6, 20, 38])
        rotations[f"{side}_hip"] = rotation([0, 0, 1], sign * swing(-6, rng.choice([2, 14]))) @ rotation(
            [1, 0, 0], -swing(-0.6 * stride, stride)
        )
        rotations[f"{side}_knee"] = rotation([1, 0, 0], swing(0, 12 + stride))
    rotations["spine2"] = rotation([0, 0, 1], swing(-8, 8)) @ rotation([0, 1, 0], swing(-14, 14))
    rotations["spine1"] = rotation([1, 0, 0], swing(-4, 10))
    rotations["head"] = rotation([0, 1, 0], swing(-25, 25)) @ rotation([1, 0, 0], swing(-8, 8))
    facing = "front" if front else rng.choice(["front", "front", "any", "turn"])
    heading = np.radians(rng.uniform(-35, 35) if facing == "front" else rng.uniform(-180, 180))
    if facing == "turn":
        yaw = heading + rng.choice([-1, 1]) * np.radians(rng.uniform(3, 9)) * np.arange(frames)
    else:
        yaw = heading + swing(-20, 20)
    rotations["pelvis"] = rotation([0, 1, 0], yaw)
    return rotations
