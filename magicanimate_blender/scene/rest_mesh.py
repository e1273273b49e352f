"""Meshes as they are bound to their armature: rest positions, faces and weights before modifiers, in its space."""

from __future__ import annotations

from dataclasses import dataclass, replace

import bpy
import numpy as np

from ..densepose.bones import BoneSegments
from ..densepose.segments import MIRROR_SEGMENT, SEGMENTS, strongest, sum_by_segment
from .identity import key_of
from .mirrored import mirror_matrices, to_armature_space


@dataclass(frozen=True)
class RestMesh:
    """One mesh object in its armature's rest space.

    positions (V, 3) float64; triangles (T, 3), face_of_triangle (T,); corners (L,): the vertices of all faces in a row,
    face_of_corner (L,).
    weights (V, 14): skin weights summed per segment, all zero where the mesh has none.
    """

    name: str
    positions: np.ndarray
    triangles: np.ndarray
    face_of_triangle: np.ndarray
    corners: np.ndarray
    face_of_corner: np.ndarray
    weights: np.ndarray

    @property
    def is_weighted(self) -> bool:
        """Whether any vertex follows a bone that belongs to the body."""
        return bool(self.weights.any())

    def face_count(self) -> int:
        """Number of faces (of any number of corners)."""
        return int(self.face_of_corner[-1]) + 1 if len(self.face_of_corner) else 0

    def face_centres(self) -> np.ndarray:
        """(F, 3): mean of each face's corners."""
        counts = np.bincount(self.face_of_corner)[:, None]
        sums = [np.bincount(self.face_of_corner, self.positions[self.corners, axis]) for axis in range(3)]
        return np.stack(sums, 1) / counts

    def face_segments(self) -> np.ndarray:
        """(F,) int8: the segment of most of a face's corners, by weight where they draw; -1 without weights."""
        vertex_segment = strongest(self.weights)
        votes = np.zeros((self.face_count(), len(SEGMENTS)))
        share = 0.1 * self.weights / np.maximum(self.weights.sum(1, keepdims=True), 1e-12)
        known = vertex_segment[self.corners] >= 0
        np.add.at(votes, (self.face_of_corner[known], vertex_segment[self.corners[known]]), 1.0)
        for segment in range(len(SEGMENTS)):
            votes[:, segment] += np.bincount(
                self.face_of_corner, share[self.corners, segment], minlength=self.face_count()
            )
        return strongest(votes)


def rest_mesh(obj: bpy.types.Object, armature: bpy.types.Object, bones: BoneSegments) -> RestMesh:
    """Read a mesh object in its rest pose; shape keys at their basis, Edit Mode changes included."""
    if obj.mode == "EDIT":
        obj.update_from_editmode()
    mesh = obj.data
    basis = mesh.shape_keys.reference_key.data if mesh.shape_keys else mesh.vertices
    local = np.empty((len(mesh.vertices), 3), np.float32)
    basis.foreach_get("co", local.ravel())
    matrix = np.array(to_armature_space(obj, armature), np.float64)
    corners = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    sizes = np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("loop_total", sizes)
    mesh.calc_loop_triangles()
    triangles = np.empty((len(mesh.loop_triangles), 3), np.int32)
    mesh.loop_triangles.foreach_get("vertices", triangles.ravel())
    face_of_triangle = np.empty(len(triangles), np.int32)
    mesh.loop_triangles.foreach_get("polygon_index", face_of_triangle)
    return RestMesh(
        key_of(obj),
        local @ matrix[:3, :3].T + matrix[:3, 3],
        triangles,
        face_of_triangle,
        corners,
        np.repeat(np.arange(len(sizes)), sizes),
        _segment_weights(obj, armature, bones),
    )


def with_mirrored_halves(obj: bpy.types.Object, armature: bpy.types.Object, rest: RestMesh) -> RestMesh:
    """The mesh with what its Mirror modifiers will add, for measuring: a half body does not tell its proportions.

    Faces (corners, face_of_corner, face_of_triangle) stay those of the half.
    """
    space = np.array(to_armature_space(obj, armature), np.float64)
    positions, triangles, weights = rest.positions, rest.triangles, rest.weights
    for reflection in mirror_matrices(obj):
        across = space @ np.array(reflection) @ np.linalg.inv(space)
        triangles = np.concatenate([triangles, triangles[:, ::-1] + len(positions)])
        positions = np.concatenate([positions, positions @ across[:3, :3].T + across[:3, 3]])
        weights = np.concatenate([weights, weights[:, MIRROR_SEGMENT]])
    return replace(rest, positions=positions, triangles=triangles, weights=weights)


def _segment_weights(obj: bpy.types.Object, armature: bpy.types.Object, bones: BoneSegments) -> np.ndarray:
    count = len(obj.data.vertices)
    number = {bone.name: i for i, bone in enumerate(armature.data.bones)}
    if obj.vertex_groups:
        bone_of_group = [number.get(group.name, -1) for group in obj.vertex_groups]
        rows = [
            (vertex.index, bone_of_group[element.group], element.weight)
            for vertex in obj.data.vertices
            for element in vertex.groups
            if element.group < len(bone_of_group) and bone_of_group[element.group] >= 0
        ]
        if rows:
            vertex, bone, weight = (np.array(column) for column in zip(*rows, strict=True))
            weights = sum_by_segment(vertex, bone, weight, bones.segment, count)
            if weights.any():
                return weights
    weights = np.zeros((count, len(SEGMENTS)))
    carrier = _parent_bone(obj, armature)
    if carrier is not None and bones.segment[number[carrier]] >= 0:
        weights[:, bones.segment[number[carrier]]] = 1
    return weights


def _parent_bone(obj: bpy.types.Object, armature: bpy.types.Object) -> str | None:
    """The bone that carries a mesh without weights, by its parents or by a constraint (Child Of, Armature ...)."""
    bones = armature.data.bones
    while obj is not None and obj is not armature:
        if obj.parent is armature and obj.parent_type == "BONE" and obj.parent_bone in bones:
            return obj.parent_bone
        for constraint in obj.constraints:
            targets = constraint.targets if constraint.type == "ARMATURE" else [constraint]
            for target in targets:
                bone = getattr(target, "subtarget", "")
                if getattr(target, "target", None) is armature and bone in bones:
                    return bone
        obj = obj.parent
    return None
