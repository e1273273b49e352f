"""The sample character: a CC0 body, rigged with the 55 SMPL-X joints, that walks in place and waves.

Source of the body: MakeHuman / MPFB2 base mesh (CC0), see assets/README.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import bpy
import numpy as np
from mathutils import Quaternion

from .actions import fcurves
from .rigging import add_skinned_mesh, add_smplx_armature, make_active
from .sample_motion import FRAMES, walk_and_wave
from .skeleton import SMPLX_JOINTS

Kind = Literal["male", "female"]
_BODY = Path(__file__).resolve().parent.parent / "assets" / "sample_body.npz"


def add_sample_character(scene: bpy.types.Scene, kind: Kind = "male", action: bool = True) -> bpy.types.Object:
    """Add the sample character at the origin, facing -Y, as armature and skinned mesh; returns the armature.

    With action, key frames 1 to 49 walk in place and wave; frame 49 equals frame 1, and the action repeats for ever.
    """
    with np.load(_BODY) as body:
        vertices = body[f"vertices_{kind}"].astype(np.float32) / int(body["steps_per_metre"])
        joints, faces = body[f"joints_{kind}"], body["quads"]
        weight_joints, weights = body["weight_joints"], body["weights"].astype(np.float32)
    weights /= weights.sum(1, keepdims=True)
    groups = {}
    for number, name in enumerate(SMPLX_JOINTS):
        rows, columns = np.nonzero((weight_joints == number) & (weights > 0))
        groups[name] = (rows, weights[rows, columns])
    name = f"Sample {kind.capitalize()}"
    armature = add_smplx_armature(scene, name, joints)
    add_skinned_mesh(armature, f"{name} Body", vertices, faces, groups)
    if action:
        add_walk_and_wave(armature)
    return armature


def add_walk_and_wave(armature: bpy.types.Object) -> bpy.types.Action:
    """Key the sample action on an armature with the SMPL-X joint names; see sample_motion."""
    bones = armature.pose.bones
    rest = {bone.name: bone.bone.matrix_local for bone in bones}
    poses = walk_and_wave({name: rest[name].translation for name in SMPLX_JOINTS})
    previous: dict[str, Quaternion] = {}
    for frame, pose in poses.items():
        pelvis = bones["pelvis"]
        pelvis.location = rest["pelvis"].to_3x3().transposed() @ pose.pelvis_offset
        pelvis.keyframe_insert("location", frame=frame, group="pelvis")
        for name, rotation in pose.rotations.items():
            axes = rest[name].to_quaternion()
            turned = axes.inverted() @ rotation @ axes
            # q and -q are the same pose, but between them F-curves would spin.
            turned.make_compatible(previous.get(name, Quaternion()))
            previous[name] = turned
            bones[name].rotation_quaternion = turned
            bones[name].keyframe_insert("rotation_quaternion", frame=frame, group=name)
    action = armature.animation_data.action
    action.name = "Walk in place and wave"
    action.use_frame_range = action.use_cyclic = True
    action.frame_start, action.frame_end = 1, 1 + FRAMES
    for curve in fcurves(action):
        curve.modifiers.new("CYCLES")
    return action


def add_sample_scene(
    scene: bpy.types.Scene, kind: Kind = "male", size: tuple[int, int] = (512, 512)
) -> bpy.types.Object:
    """The demo in one call: sample character, a camera framed for it, frames 1 to 48. Returns the armature.

    size: the video's pixels. A camera that is there stays as it is, and so does the size of renders.
    """
    from .characters import find_characters
    from .framing import frame_camera
    from .own_camera import own_camera

    armature = add_sample_character(scene, kind)
    scene.frame_start, scene.frame_end = 1, FRAMES
    own_camera(scene, size)
    frame_camera(scene, find_characters(scene, [armature]), range(1, FRAMES + 1, 3), size=size)
    make_active(scene, armature)
    return armature
