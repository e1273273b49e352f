"""The labels on a mesh: an ordinary INT attribute of faces, which Blender carries through modifiers and edits."""

from __future__ import annotations

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


def is_labelled(obj: bpy.types.Object) -> bool:
    """Whether the object is a mesh with labels before its modifiers."""
    return obj.type == "MESH" and has_labels(obj.data)


def read_labels(mesh: bpy.types.Mesh) -> np.ndarray:
    """(faces,) int32."""
    labels = np.empty(len(mesh.polygons), np.int32)
    mesh.attributes[LABEL_ATTRIBUTE].data.foreach_get("value", labels)
    return labels


def write_labels(mesh: bpy.types.Mesh, labels: np.ndarray) -> None:
    """Set the label of every face, (faces,) 0..24; replaces an attribute of the same name and another kind."""
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
    """The error for an object that is drawn without labels: never made, or dropped by a modifier, which it names."""
    if not is_labelled(obj):
        return SceneError(
            f"“{obj.name}” has no part labels yet.",
            "Label the character (Label Body Parts), or set this object to Ignore.",
        )
    name = _dropping_modifier(obj)
    return SceneError(
        f"The modifier “{name}” of “{obj.name}” drops the part labels.",
        "Switch that modifier off, apply it and label again, or set the object to Ignore or Occlude.",
    )


def _dropping_modifier(obj: bpy.types.Object) -> str:
    """Name of the first modifier after which the attribute is gone: found by switching modifiers off from the end."""
    shown = [modifier for modifier in obj.modifiers if modifier.show_viewport]
    dropping = shown[-1] if shown else None
    try:
        for modifier in reversed(shown):
            modifier.show_viewport = False
            evaluated = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
            dropping = modifier
            if has_labels(evaluated.data):
                break
    finally:
        for modifier in shown:
            modifier.show_viewport = True
        bpy.context.view_layer.update()
    return dropping.name if dropping is not None else "?"
