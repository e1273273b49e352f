"""Build armatures and skinned meshes with the SMPL-X skeleton from arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import bpy
import numpy as np
from mathutils import Vector

from .skeleton import SMPLX_JOINTS, SMPLX_PARENTS

_UP, _FRONT = Vector((0, 0, 1)), Vector((0, -1, 0))

# Where a bone points when it is not simply at its only child; one without a child follows its parent's line.
_TAIL_CHILD = {"spine3": "neck", "left_wrist": "left_middle1", "right_wrist": "right_middle1"}
_TAIL_DIRECTION = {  # direction, length as a share of the body's height
    "pelvis": (_UP, 0.06),
    "head": (_UP, 0.09),
    "jaw": (_FRONT, 0.04),
    "left_eye_smplhf": (_FRONT, 0.015),
    "right_eye_smplhf": (_FRONT, 0.015),
    "left_foot": (_FRONT, 0.04),
    "right_foot": (_FRONT, 0.04),
}


def _tail(name: str, joints: Mapping[str, Vector], height: float) -> Vector:
    head = joints[name]
    if name in _TAIL_DIRECTION:
        direction, length = _TAIL_DIRECTION[name]
        return head + direction * (length * height)
    child = _TAIL_CHILD.get(name) or next((c for c, parent in SMPLX_PARENTS.items() if parent == name), None)
    if child is not None and (joints[child] - head).length > 1e-4 * height:
        return joints[child]
    parent = SMPLX_PARENTS[name]
    along = head - joints[parent] if parent else _UP
    if along.length < 1e-4 * height:
        along = _UP
    return head + along.normalized() * (0.012 * height)


def make_active(scene: bpy.types.Scene, obj: bpy.types.Object) -> None:
    """Select obj alone and make it active in the scene, as Blender's own Add operators do."""
    view_layer = scene.view_layers[0] if scene != bpy.context.scene else bpy.context.view_layer
    for other in view_layer.objects:
        other.select_set(False, view_layer=view_layer)
    obj.select_set(True, view_layer=view_layer)
    view_layer.objects.active = obj


@contextmanager
def edit_mode(scene: bpy.types.Scene, obj: bpy.types.Object) -> Iterator[None]:
    """The object in Edit Mode, in Object Mode and active afterwards. The window shows its scene meanwhile.

    No `temp_override` of the context: see `scene.context`.
    """
    window = bpy.context.window
    shown = window.scene
    if shown != scene:
        window.scene = scene
    try:
        make_active(scene, obj)
        bpy.ops.object.mode_set(mode="EDIT")
        yield
        bpy.ops.object.mode_set(mode="OBJECT")
    finally:
        if shown != scene:
            window.scene = shown


def add_smplx_armature(
    scene: bpy.types.Scene, name: str, joints: np.ndarray, connected: bool = True
) -> bpy.types.Object:
    """Armature of the 55 SMPL-X joints; bones point along the limbs, so that posing by hand feels right.

    joints: (55, 3) metres, Z up, facing -Y, in SMPL-X order. connected: bones that meet are one chain to edit.
    The armature becomes the active object.
    """
    if bpy.context.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    points = {joint: Vector(point) for joint, point in zip(SMPLX_JOINTS, joints.tolist(), strict=True)}
    height = float(np.ptp(joints[:, 2]))
    data = bpy.data.armatures.new(name)
    armature = bpy.data.objects.new(name, data)
    scene.collection.objects.link(armature)
    with edit_mode(scene, armature):
        for joint, parent in SMPLX_PARENTS.items():
            bone = data.edit_bones.new(joint)
            bone.head, bone.tail = points[joint], _tail(joint, points, height)
            along = (bone.tail - bone.head).normalized()
            bone.align_roll(_FRONT if abs(along.dot(_FRONT)) < 0.7 else _UP)
            if parent:
                bone.parent = data.edit_bones[parent]
                bone.use_connect = connected and (bone.parent.tail - bone.head).length < 1e-6
    data.display_type = "STICK"
    armature.show_in_front = True
    return armature


def add_skinned_mesh(
    armature: bpy.types.Object,
    name: str,
    vertices: np.ndarray,
    faces: np.ndarray,
    groups: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> bpy.types.Object:
    """Mesh bound to the armature by an Armature modifier, in the armature's collections.

    vertices: (V, 3) rest pose in the armature's space. faces: (F, 3 or 4). groups: bone -> (vertices, weights).
    """
    data = bpy.data.meshes.new(name)
    corners = faces.shape[1]
    data.vertices.add(len(vertices))
    data.vertices.foreach_set("co", np.ascontiguousarray(vertices, np.float32).ravel())
    data.loops.add(faces.size)
    data.loops.foreach_set("vertex_index", np.ascontiguousarray(faces, np.int32).ravel())
    data.polygons.add(len(faces))
    data.polygons.foreach_set("loop_start", np.arange(0, faces.size, corners, dtype=np.int32))
    data.update(calc_edges=True)
    data.shade_smooth()
    obj = bpy.data.objects.new(name, data)
    for collection in armature.users_collection:
        collection.objects.link(obj)
    for bone, (indices, weights) in groups.items():
        group = obj.vertex_groups.new(name=bone)
        # One call for each different weight: the API takes one weight for many vertices.
        values, place = np.unique(weights, return_inverse=True)
        for number, value in enumerate(values.tolist()):
            if value > 0:
                group.add(indices[place == number].tolist(), value, "REPLACE")
    obj.parent = armature
    modifier = obj.modifiers.new("Armature", "ARMATURE")
    modifier.object = armature
    return obj
