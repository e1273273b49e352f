"""Evaluate objects as a render would: a script only gets the viewport's dependency graph, with its cheaper settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import bpy

from .context import view_layer_of
from .errors import SceneError

_LEVELS = {"SUBSURF", "MULTIRES"}


def _differences(scene: bpy.types.Scene, objects: Iterable[bpy.types.Object]) -> Iterator[tuple[Any, str, Any]]:
    """(owner, property, value in a render) wherever the viewport shows something else."""
    render = scene.render
    if render.use_simplify and render.simplify_subdivision != render.simplify_subdivision_render:
        yield render, "simplify_subdivision", render.simplify_subdivision_render
    for obj in objects:
        if obj.hide_viewport and not obj.hide_render:
            yield obj, "hide_viewport", False
        for modifier in obj.modifiers:
            if modifier.show_viewport != modifier.show_render:
                yield modifier, "show_viewport", modifier.show_render
            if modifier.type in _LEVELS and modifier.levels != modifier.render_levels:
                yield modifier, "levels", modifier.render_levels


@contextmanager
def as_rendered(scene: bpy.types.Scene, objects: Iterable[bpy.types.Object]) -> Iterator[None]:
    """Within: the objects' modifiers, subdivision levels and visibility are those of a render. Restored afterwards.

    Costs nothing where viewport and render agree; else the objects are evaluated twice.
    """
    objects, view_layer = list(objects), view_layer_of(scene)
    changed: list[tuple[Any, str, Any]] = []
    hidden: list[bpy.types.Object] = []
    try:
        for owner, name, value in list(_differences(scene, objects)):
            changed.append((owner, name, getattr(owner, name)))
            setattr(owner, name, value)
        for obj in objects:
            listed = obj.name in view_layer.objects
            if listed and obj.hide_get(view_layer=view_layer) and not obj.hide_render:
                hidden.append(obj)
                obj.hide_set(False, view_layer=view_layer)
        yield
    finally:
        for owner, name, value in reversed(changed):
            setattr(owner, name, value)
        for obj in hidden:
            obj.hide_set(True, view_layer=view_layer)


def require_evaluated(scene: bpy.types.Scene, objects: Iterable[bpy.types.Object]) -> None:
    """SceneError for an object that renders show but whose collection the viewport hides: Blender leaves it out."""
    view_layer = view_layer_of(scene)
    in_render = rendered_objects(view_layer)
    for obj in objects:
        if not obj.hide_render and obj.name in in_render and not obj.visible_get(view_layer=view_layer):
            raise SceneError(
                f"“{obj.name}” is shown in renders, but its collection is hidden in the viewport.",
                "Show the collection in the viewport, or switch the object off for renders too.",
            )


def rendered_objects(view_layer: bpy.types.ViewLayer) -> set[str]:
    """Names of the objects that some collection shows in renders (an object's own hide_render is not looked at)."""
    shown: set[str] = set()

    def walk(layer: bpy.types.LayerCollection) -> None:
        if layer.collection.hide_render:
            return
        if not layer.exclude:
            shown.update(obj.name for obj in layer.collection.objects)
        for child in layer.children:
            walk(child)

    walk(view_layer.layer_collection)
    return shown
