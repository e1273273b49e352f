"""Left and right on meshes with a Mirror modifier, which copies a face's label as it is to the other side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix, Vector

from ..densepose.segments import ARMS, LEGS, SEGMENTS
from .characters import armature_of, bone_segments
from .errors import SceneError
from .identity import key_of
from .scratch import ScratchScene


@dataclass(frozen=True)
class MidPlane:
    """The plane between a character's halves, in its armature's rest space."""

    left: np.ndarray  # unit vector to the character's left
    distance: float  # of the plane from the origin, along left

    def is_left(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) -> (N,) bool."""
        return points @ self.left > self.distance


def mirror_modifiers(obj: bpy.types.Object) -> list[bpy.types.Modifier]:
    """The object's Mirror modifiers that renders apply."""
    return [m for m in obj.modifiers if m.type == "MIRROR" and m.show_render and any(m.use_axis)]


def mirror_matrices(obj: bpy.types.Object) -> list[Matrix]:
    """Reflections in the object's space, one for each axis of its Mirror modifiers, in the order they apply."""
    reflections = []
    for modifier in mirror_modifiers(obj):
        about = Matrix()
        if modifier.mirror_object is not None:
            about = obj.matrix_world.inverted_safe() @ modifier.mirror_object.matrix_world
        for axis, used in enumerate(modifier.use_axis):
            if used:
                scale = Matrix()
                scale[axis][axis] = -1
                reflections.append(about @ scale @ about.inverted_safe())
    return reflections


def mid_plane(armature: bpy.types.Object) -> MidPlane:
    """From where the left and the right limbs' bones sit in the rest pose."""
    segment = bone_segments(armature).segment
    heads = np.array([bone.head_local for bone in armature.data.bones])
    across, middles = np.zeros(3), []
    for part in (*ARMS, *LEGS):
        sides = [heads[segment == SEGMENTS.index(f"{part}_{side}")] for side in "lr"]
        if all(len(side) for side in sides):
            left, right = (side.mean(0) for side in sides)
            across += (left - right) / max(float(np.linalg.norm(left - right)), 1e-9)
            middles.append((left + right) / 2)
    if not middles:
        raise SceneError(
            f"The armature “{armature.name}” has limbs on one side only.",
            "Mirror its bones (Armature > Symmetrize), or apply the body's Mirror modifier.",
        )
    left = across / np.linalg.norm(across)
    axis = np.zeros(3)
    axis[np.abs(left).argmax()] = np.sign(left[np.abs(left).argmax()])
    if left @ axis > np.cos(np.radians(6)):
        left = axis
    return MidPlane(left, float(np.mean(middles, axis=0) @ left))


def to_armature_space(obj: bpy.types.Object, armature: bpy.types.Object) -> Matrix:
    """Object space -> armature space in the rest pose; bone-parented objects are carried back with their bone."""
    if obj.parent_type == "BONE" and obj.parent is armature:
        bone = armature.data.bones.get(obj.parent_bone)
        if bone is not None:
            tip = Matrix.Translation(Vector((0, bone.length, 0)))
            return bone.matrix_local @ tip @ obj.matrix_parent_inverse @ obj.matrix_basis
    if obj.parent is not None and obj.parent is not armature and armature_of(obj.parent) is armature:
        return to_armature_space(obj.parent, armature) @ obj.matrix_parent_inverse @ obj.matrix_basis
    return armature.matrix_world.inverted_safe() @ obj.matrix_world


def sides_at_rest(
    scene: bpy.types.Scene, objects: Iterable[bpy.types.Object], *, viewport: bool
) -> dict[str, np.ndarray]:
    """Which evaluated faces lie on the character's left, by object key: bool (faces,), measured in the rest pose.

    viewport: of the viewport's modifiers and levels, not of a render's. Makes a scratch scene, so it may not run inside
    a draw handler.
    """
    armatures = {obj: armature for obj in objects if (armature := armature_of(obj)) is not None}
    found = {}
    with ScratchScene(scene, armatures, rest=True, viewport=viewport, everything=True) as scratch:
        scratch.evaluate(scene.frame_current)
        for obj, armature in armatures.items():
            evaluated = scratch.evaluated(obj)
            mesh = evaluated.to_mesh()
            centres = np.empty((len(mesh.polygons), 3), np.float32)
            mesh.polygons.foreach_get("center", centres.ravel())
            evaluated.to_mesh_clear()
            matrix = np.array(to_armature_space(obj, armature))
            found[key_of(obj)] = mid_plane(armature).is_left(centres @ matrix[:3, :3].T + matrix[:3, 3])
    return found
