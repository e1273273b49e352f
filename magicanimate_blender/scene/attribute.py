"""The labels on a mesh: an ordinary INT attribute of faces, which Blender carries through modifiers and edits.

A linked or overridden mesh takes no attribute (Blender drops it without a word): its labels are kept beside it for this
session, by library, name and topology. They are computed anew in the next one, and may be stored in the library itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import bpy
import numpy as np

from .errors import SceneError

LABEL_ATTRIBUTE = "dp_label"
"""Name of the attribute: INT, FACE domain, 0 background .. 24, as in densepose.labels."""


def has_labels(mesh: bpy.types.Mesh) -> bool:
    """Whether the mesh, original or evaluated, has the attribute as it must be."""
    attribute = mesh.attributes.get(LABEL_ATTRIBUTE)
    return attribute is not None and attribute.domain == "FACE" and attribute.data_type == "INT"


def can_hold_labels(mesh: bpy.types.Mesh) -> bool:
    """Whether the mesh is this file's own, so that an attribute on it stays."""
    return mesh.library is None and mesh.override_library is None


def is_labelled(obj: bpy.types.Object) -> bool:
    """Whether the object is a mesh with labels before its modifiers."""
    return obj.type == "MESH" and (has_labels(obj.data) or _kept_beside(obj.data))


def read_labels(mesh: bpy.types.Mesh) -> np.ndarray:
    """(faces,) int32."""
    if not has_labels(mesh):
        return _beside[_identity(mesh)].copy()
    labels = np.empty(len(mesh.polygons), np.int32)
    mesh.attributes[LABEL_ATTRIBUTE].data.foreach_get("value", labels)
    return labels


def write_labels(mesh: bpy.types.Mesh, labels: np.ndarray) -> None:
    """Set the label of every face, (faces,) 0..24; replaces an attribute of the same name and another kind."""
    if not can_hold_labels(mesh):
        _beside[_identity(mesh)] = np.array(labels, np.int32)
        return
    if not has_labels(mesh):
        wrong = mesh.attributes.get(LABEL_ATTRIBUTE)
        if wrong is not None:
            mesh.attributes.remove(wrong)
        mesh.attributes.new(LABEL_ATTRIBUTE, "INT", "FACE")
    mesh.attributes[LABEL_ATTRIBUTE].data.foreach_set("value", np.ascontiguousarray(labels, np.int32))
    mesh.update()


def paint_labels(obj: bpy.types.Object, label: int, faces: Iterable[int] | None = None) -> int:
    """Give faces a label by hand: the given ones, else those selected (in Edit or Object Mode). Returns how many.

    Raises SceneError if the object has no labels yet.
    """
    if not is_labelled(obj):
        raise labels_missing(obj)
    if not can_hold_labels(obj.data):
        raise SceneError(
            f"“{obj.name}” is linked from “{_library(obj.data)}”, so labels painted here would be lost.",
            "Paint its labels in that file, or make the mesh local (Object > Relations > Make Local).",
        )
    mode = obj.mode
    if mode == "EDIT":  # attributes of a mesh in Edit Mode live in its edit copy
        bpy.ops.object.mode_set(mode="OBJECT")
    labels = read_labels(obj.data)
    if faces is None:
        chosen = np.empty(len(labels), bool)
        obj.data.polygons.foreach_get("select", chosen)
    else:
        chosen = np.zeros(len(labels), bool)
        chosen[list(faces)] = True
    labels[chosen] = label
    write_labels(obj.data, labels)
    if mode == "EDIT":
        bpy.ops.object.mode_set(mode="EDIT")
    return int(chosen.sum())


def labels_missing(obj: bpy.types.Object) -> SceneError:
    """The error for an object that was never labelled."""
    return SceneError(
        f"“{obj.name}” has no part labels yet.",
        "Label the character (Label Body Parts), or set this object to Ignore.",
    )


_Identity = tuple[str, str, str]
_beside: dict[_Identity, np.ndarray] = {}
"""Labels of meshes that cannot hold them."""


def _kept_beside(mesh: bpy.types.Mesh) -> bool:
    return bool(_beside) and not can_hold_labels(mesh) and _identity(mesh) in _beside


def _identity(mesh: bpy.types.Mesh) -> _Identity:
    """Library, name and a hash of the topology."""
    corners = np.empty(len(mesh.loops), np.int32)
    mesh.attributes[".corner_vert"].data.foreach_get("value", corners)
    starts = np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("loop_start", starts)
    topology = hashlib.sha256(corners.tobytes() + starts.tobytes()).hexdigest()
    return _library(mesh), mesh.name, topology


def _library(mesh: bpy.types.Mesh) -> str:
    library = mesh.library or mesh.override_library.reference.library
    return str(library.filepath)
