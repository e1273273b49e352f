"""F-curves of an action, on every Blender: actions have had slots and layers since 4.4, and only those since 5.0."""

from __future__ import annotations

from collections.abc import Iterator

import bpy


def fcurves(action: bpy.types.Action) -> Iterator[bpy.types.FCurve]:
    """All F-curves of the action."""
    if hasattr(action, "layers"):
        for layer in action.layers:
            for strip in layer.strips:
                for bag in strip.channelbags:
                    yield from bag.fcurves
    else:
        yield from action.fcurves
