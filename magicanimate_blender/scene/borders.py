"""Smooth borders on coarse meshes: faces that a border crosses are cut along it when a frame is drawn.

The labels stay one per face, to be seen and painted; a face painted by hand is drawn whole, as painted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..densepose.anchors import Anchors
from ..densepose.errors import DensePoseError
from ..densepose.segments import majority
from ..densepose.subdivide import Subdivision, subdivide_borders
from .characters import Character
from .labels import Measured, measure, rule_labels
from .rest_mesh import RestMesh


@dataclass(frozen=True)
class CutMesh:
    """A mesh cut along the borders that the rule draws on it."""

    rest: RestMesh
    subdivision: Subdivision
    rule: np.ndarray  # (F,) label that the rule gives each face

    def fits(self, corners: np.ndarray, starts: np.ndarray) -> bool:
        """Whether an evaluated mesh still has the faces of the original, so that the cuts apply."""
        return len(starts) == self.rest.face_count() and np.array_equal(corners, self.rest.corners)

    def labels(self, faces: np.ndarray) -> np.ndarray:
        """(T,) label of each triangle, where (F,) are those stored on the faces."""
        face = self.rest.face_of_triangle[self.subdivision.source]
        return np.where((faces == self.rule)[face], self.subdivision.labels, faces[face]).astype(np.uint8)

    def positions(self, vertices: np.ndarray) -> np.ndarray:
        """(V, 3) of the mesh in any pose -> (V + N, 3) float32 with the cuts' vertices."""
        return self.subdivision.positions(vertices).astype(np.float32)


def cut_meshes(character: Character) -> dict[str, CutMesh]:
    """The character's weighted meshes, cut along their borders, by object name.

    Empty for a character that cannot be measured: one painted by hand all over needs no human shape.
    """
    try:
        measured = measure(character)
    except DensePoseError:
        return {}
    return cut_measured(measured)


def cut_measured(measured: Measured) -> dict[str, CutMesh]:
    """The longer part of cut_meshes, without Blender: safe in any thread."""
    return {
        name: CutMesh(mesh, _cut(mesh, measured.anchors), rule_labels(mesh, measured.anchors))
        for name, mesh in measured.meshes.items()
        if mesh.is_weighted
    }


def _cut(mesh: RestMesh, anchors: Anchors) -> Subdivision:
    """Cut the faces that have weights; the others, which the rule knows nothing of, stay whole."""
    known = majority(mesh.weights, mesh.triangles) >= 0
    weighted, loose = np.flatnonzero(known), np.flatnonzero(~known)
    cut = subdivide_borders(mesh.positions, mesh.triangles[weighted], mesh.weights, anchors, levels=2)
    return replace(
        cut,
        triangles=np.concatenate([cut.triangles, mesh.triangles[loose]]),
        labels=np.concatenate([cut.labels, np.zeros(len(loose), np.uint8)]),
        source=np.concatenate([weighted[cut.source], loose]),
    )
