"""SMPL-X and AMASS motion files (.npz) as actions of an armature with the SMPL-X joints."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import bpy
import numpy as np

from .actions import add_curves, new_action
from .errors import SceneError
from .skeleton import SMPLX_JOINTS
from .smplx_model import HANDS_PROPERTY, set_smplx_shape

Up = Literal["auto", "Y", "Z"]

_C = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # Y up, facing +Z -> Z up, facing -Y
_SMPLH = (*SMPLX_JOINTS[:22], *SMPLX_JOINTS[25:])  # 52 joints: no jaw, no eyes
_PARTS = ("root_orient", "pose_body", "pose_jaw", "pose_eye", "pose_hand")  # in the order of SMPLX_JOINTS
_RATES = ("mocap_frame_rate", "mocap_framerate", "fps", "frame_rate")


@dataclass(frozen=True)
class SmplxMotion:
    """A motion file. rotations (N, 55, 4): quaternions w, x, y, z of the joints in SMPL-X order, in the model's axes.

    translation (N, 3) metres; frame_rate in frames a second; betas (B,), maybe none; up: the world's axis that is up.
    """

    rotations: np.ndarray
    translation: np.ndarray
    frame_rate: float
    betas: np.ndarray
    up: Literal["Y", "Z"]


def read_smplx_motion(path: str | Path, frame_rate: float | None = None, up: Up = "auto") -> SmplxMotion:
    """Read a motion: `poses` (N, 165), (N, 156) for SMPL+H or (N, 66), or parts (root_orient, pose_body ...); `trans`.

    frame_rate: overrides the file's. up: AMASS is Z up, most estimators' motions Y up; "auto" looks at the body.
    Raises SceneError if it is no such file, or says no frame rate.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name in _WANTED}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise SceneError(
            f"“{path.name}” cannot be read as a motion: {error}.", "Choose an SMPL-X or AMASS .npz."
        ) from None
    vectors = _poses(arrays, path.name)
    rate = frame_rate or next((float(arrays[name]) for name in _RATES if name in arrays), None)
    if not rate or not np.isfinite(rate):
        raise SceneError(f"“{path.name}” does not say its frame rate.", "Give the frame rate in the import settings.")
    if not len(vectors):
        raise SceneError(f"“{path.name}” holds no frames.", "Choose another motion file.")
    rotations = _quaternions(vectors)
    translation = arrays.get("trans", arrays.get("transl", np.zeros((len(vectors), 3)))).reshape(-1, 3)
    if len(translation) != len(vectors):
        raise SceneError(
            f"“{path.name}” has {len(vectors)} poses but {len(translation)} positions.", "Choose another motion file."
        )
    if up == "auto":
        standing = _matrices(rotations[:, 0])[:, :, 1].mean(0)  # where the model's own up, Y, points
        up = "Z" if abs(standing[2]) > abs(standing[1]) else "Y"
    betas = arrays.get("betas", np.zeros(0)).reshape(-1)
    return SmplxMotion(rotations, translation.astype(np.float64), rate, betas, up)


def import_smplx_motion(
    scene: bpy.types.Scene,
    armature: bpy.types.Object,
    path: str | Path,
    frame_rate: float | None = None,
    up: Up = "auto",
    start: int = 1,
    use_shape: bool = False,
    relaxed_hands: bool = False,
) -> bpy.types.Action:
    """Put a motion on an armature that rests in SMPL-X's T-pose, with a key on every frame of the scene's rate.

    use_shape: take the motion's betas as well (imported models only). relaxed_hands: the file's hand poses are relative
    to the model's relaxed hand, not to the flat one. Raises SceneError.
    """
    motion = read_smplx_motion(path, frame_rate, up)
    _require_t_pose(armature)
    if use_shape and motion.betas.size:
        set_smplx_shape(scene, armature, motion.betas.tolist())
    rotations = motion.rotations
    if relaxed_hands:
        rotations = _with_relaxed_hands(rotations, armature)
    fps = scene.render.fps / scene.render.fps_base
    rotations, translation = resample(rotations, motion.translation, motion.frame_rate, fps)
    frames = start + np.arange(len(rotations), dtype=np.float64)
    action = new_action(armature, Path(path).stem)
    for number, name in enumerate(SMPLX_JOINTS):
        bone = armature.pose.bones[name]
        axes = np.array(bone.bone.matrix_local.to_3x3(), np.float64)
        turns = _matrices(rotations[:, number])
        if number:
            turned = _C @ turns @ _C.T
        else:
            head = np.array(bone.bone.head_local)
            world = _C if motion.up == "Y" else np.eye(3)
            turned = world @ turns @ _C.T
            offset = (translation + head @ _C) @ world.T - head  # the model turns about its pelvis
            add_curves(armature, action, 'pose.bones["pelvis"].location', name, frames, offset @ axes)
        bone.rotation_mode = "QUATERNION"
        values = _continuous(_from_matrices(axes.T @ turned @ axes))
        add_curves(armature, action, f'pose.bones["{name}"].rotation_quaternion', name, frames, values)
    scene.frame_set(scene.frame_current)
    return action


def resample(rotations: np.ndarray, translation: np.ndarray, rate: float, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Motion at `rate` (N, J, 4), (N, 3) -> at fps frames a second, from the first frame to the last whole one.

    Rotations are interpolated on the sphere between the two nearest samples, positions linearly.
    """
    duration = (len(rotations) - 1) / rate
    times = np.arange(int(np.floor(duration * fps + 1e-6)) + 1) / fps * rate
    before = np.clip(np.floor(times + 1e-9).astype(int), 0, len(rotations) - 1)
    after = np.minimum(before + 1, len(rotations) - 1)
    share = np.clip(times - before, 0, 1)
    a, b = rotations[before], rotations[after]
    dot = (a * b).sum(-1, keepdims=True)
    b, dot = np.where(dot < 0, -b, b), np.abs(dot).clip(0, 1)
    angle, t = np.arccos(dot), share[:, None, None]
    sine = np.sin(angle)
    near = sine < 1e-6
    safe = np.where(near, 1.0, sine)
    mixed = np.where(near, (1 - t) * a + t * b, (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / safe)
    mixed /= np.linalg.norm(mixed, axis=-1, keepdims=True)
    moved = (1 - share[:, None]) * translation[before] + share[:, None] * translation[after]
    return mixed, moved


_WANTED = {"poses", "fullpose", "trans", "transl", "betas", *_PARTS, *_RATES}


def _poses(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    """(N, 55, 3) axis-angle."""
    poses = arrays.get("poses", arrays.get("fullpose"))
    if poses is None and "root_orient" in arrays and "pose_body" in arrays:
        count = len(arrays["root_orient"])
        widths = {"root_orient": 3, "pose_body": 63, "pose_jaw": 3, "pose_eye": 6, "pose_hand": 90}
        poses = np.concatenate([arrays.get(p, np.zeros((count, widths[p]))).reshape(count, -1) for p in _PARTS], 1)
    if poses is None:
        raise SceneError(
            f"“{name}” is no SMPL-X or AMASS motion: it has no “poses”.", "Choose an SMPL-X or AMASS .npz."
        )
    poses = np.asarray(poses, np.float64).reshape(len(poses), -1)
    joints = {165: SMPLX_JOINTS, 156: _SMPLH, 66: SMPLX_JOINTS[:22]}.get(poses.shape[1])
    if joints is None:
        raise SceneError(
            f"“{name}” has poses of {poses.shape[1]} numbers; SMPL-X has 165, SMPL+H 156, a body alone 66.",
            "Choose the SMPL-X version of the motion.",
        )
    full = np.zeros((len(poses), len(SMPLX_JOINTS), 3))
    full[:, [SMPLX_JOINTS.index(joint) for joint in joints]] = poses.reshape(len(poses), -1, 3)
    return full


def _with_relaxed_hands(rotations: np.ndarray, armature: bpy.types.Object) -> np.ndarray:
    mean = armature.data.get(HANDS_PROPERTY)
    if mean is None:
        raise SceneError(
            f"“{armature.name}” does not know SMPL-X's relaxed hands.",
            "Import the model file, or switch relaxed hands off.",
        )
    vectors = _axis_angles(rotations)
    vectors[:, 25:] += np.array(mean[:]).reshape(30, 3)  # as the model adds them: to the axis-angle vectors
    return _quaternions(vectors)


def _require_t_pose(armature: bpy.types.Object) -> None:
    bones = armature.data.bones if armature.type == "ARMATURE" else {}
    missing = [name for name in SMPLX_JOINTS if name not in bones]
    if missing:
        raise SceneError(
            f"“{armature.name}” has no bone “{missing[0]}”.", "Choose an armature with the 55 SMPL-X joints."
        )
    for side in ("left", "right"):
        arm = bones[f"{side}_elbow"].head_local - bones[f"{side}_shoulder"].head_local
        if abs(arm.z) > 0.5 * abs(arm.x):
            raise SceneError(
                f"“{armature.name}” does not rest in a T-pose, from which SMPL-X motions are measured.",
                "Import an SMPL-X model file and put the motion on that.",
            )


def _quaternions(vectors: np.ndarray) -> np.ndarray:
    """Axis-angle (..., 3) -> quaternion (..., 4) w, x, y, z."""
    angle = np.linalg.norm(vectors, axis=-1, keepdims=True)
    # sin(a / 2) / a, which is 1/2 at 0
    return np.concatenate([np.cos(angle / 2), vectors * np.sinc(angle / (2 * np.pi)) / 2], -1)


def _axis_angles(quaternions: np.ndarray) -> np.ndarray:
    sine = np.linalg.norm(quaternions[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, quaternions[..., :1])
    return quaternions[..., 1:] * np.where(sine < 1e-12, 2.0, angle / np.where(sine < 1e-12, 1.0, sine))


def _matrices(quaternions: np.ndarray) -> np.ndarray:
    """(N, 4) -> (N, 3, 3)."""
    w, x, y, z = quaternions.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def _from_matrices(matrices: np.ndarray) -> np.ndarray:
    """(N, 3, 3) -> (N, 4): the eigenvector of Bar-Itzhack's symmetric matrix, good for any angle."""
    m = np.moveaxis(matrices, 0, -1)
    k = np.empty((len(matrices), 4, 4))
    k[:, 0] = np.stack([m[0, 0] + m[1, 1] + m[2, 2], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]], -1)
    k[:, 1] = np.stack([m[2, 1] - m[1, 2], m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0]], -1)
    k[:, 2] = np.stack([m[0, 2] - m[2, 0], m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], m[1, 2] + m[2, 1]], -1)
    k[:, 3] = np.stack([m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1]], -1)
    return np.linalg.eigh(k)[1][:, :, -1]


def _continuous(quaternions: np.ndarray) -> np.ndarray:
    """Choose the sign of each, q and -q being the same rotation, so that neighbours lie on the same side."""
    flips = np.sign((quaternions[1:] * quaternions[:-1]).sum(-1))
    flips[flips == 0] = 1
    first = 1.0 if quaternions[0, 0] >= 0 else -1.0
    return quaternions * (first * np.concatenate([[1.0], np.cumprod(flips)]))[:, None]
