"""Evaluate objects as a render would: a script only gets the viewport's dependency graph, with its cheaper settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import bpy

from .identity import key_of

_LEVELS = {"SUBSURF", "MULTIRES"}


def use_render_settings(obj: bpy.types.Object) -> None:
    """Give the viewport the modifiers and subdivision levels of a render. For copies of ours."""
    for modifier, name, value in list(_differences(obj)):
        setattr(modifier, name, value)


@contextmanager
def as_rendered(objects: Iterable[bpy.types.Object]) -> Iterator[None]:
    """Within: the objects' modifiers, levels and visibility are those of a render. Restored afterwards.

    For objects that cannot be copied. Costs nothing where viewport and render agree; else they are evaluated twice.
    """
    changed: list[tuple[Any, str, Any]] = []
    try:
        for obj in objects:
            differences = list(_differences(obj))
            if obj.hide_viewport and not obj.hide_render:
                differences.append((obj, "hide_viewport", False))
            for owner, name, value in differences:
                changed.append((owner, name, getattr(owner, name)))
                setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in reversed(changed):
            setattr(owner, name, value)


def rendered_objects(view_layer: bpy.types.ViewLayer) -> set[str]:
    """Keys of the objects that some collection shows in renders (an object's own hide_render is not looked at)."""
    shown: set[str] = set()

    def walk(layer: bpy.types.LayerCollection) -> None:
        if layer.collection.hide_render:
            return
        if not layer.exclude:
            shown.update(key_of(obj) for obj in layer.collection.objects)
        for child in layer.children:
            walk(child)

    walk(view_layer.layer_collection)
    return shown


def _differences(obj: bpy.types.Object) -> Iterator[tuple[Any, str, Any]]:
    """(modifier, property, value in a render) wherever the viewport shows something else."""
    for modifier in obj.modifiers:
        if modifier.show_viewport != modifier.show_render:
            yield modifier, "show_viewport", modifier.show_render
        if modifier.type in _LEVELS and modifier.levels != modifier.render_levels:
            yield modifier, "levels", modifier.render_levels
