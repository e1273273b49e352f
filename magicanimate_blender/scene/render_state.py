"""Evaluate objects as a render would: a script only gets the viewport's dependency graph, with its cheaper settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import bpy

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
    objects = list(objects)
    changed: list[tuple[Any, str, Any]] = []
    hidden: list[bpy.types.Object] = []
    try:
        for owner, name, value in list(_differences(scene, objects)):
            changed.append((owner, name, getattr(owner, name)))
            setattr(owner, name, value)
        for obj in objects:
            if obj.name in bpy.context.view_layer.objects and obj.hide_get() and not obj.hide_render:
                hidden.append(obj)
                obj.hide_set(False)
        yield
    finally:
        for owner, name, value in reversed(changed):
            setattr(owner, name, value)
        for obj in hidden:
            obj.hide_set(True)


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
