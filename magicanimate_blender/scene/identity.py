"""What tells objects apart for longer than a reference lasts: undo, load and renames make references invalid."""

from __future__ import annotations

import bpy

SOURCE = "magicanimate_source"
"""Custom property of a copy in a scratch scene: the key of the object that it stands for."""


def key_of(obj: bpy.types.Object) -> str:
    """The object's name; of a linked object with its library, because two libraries may use the same names."""
    return str(obj.get(SOURCE) or obj.name_full)


def find_object(key: str) -> bpy.types.Object | None:
    """The object with that key, None if it was renamed or deleted."""
    obj = bpy.data.objects.get((key, None))
    if obj is None and key.endswith("]"):
        obj = next((o for o in bpy.data.objects if o.library is not None and o.name_full == key), None)
    return obj
