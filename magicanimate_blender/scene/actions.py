"""F-curves of an action, on every Blender: actions have had slots and layers since 4.4, and only those since 5.0."""

from __future__ import annotations

from collections.abc import Iterator

import bpy
import numpy as np


def fcurves(action: bpy.types.Action) -> Iterator[bpy.types.FCurve]:
    """All F-curves of the action."""
    if hasattr(action, "layers"):
        for layer in action.layers:
            for strip in layer.strips:
                for bag in strip.channelbags:
                    yield from bag.fcurves
    else:
        yield from action.fcurves


def new_action(obj: bpy.types.Object, name: str) -> bpy.types.Action:
    """A new action, assigned to the object in place of the one it has."""
    action = bpy.data.actions.new(name)
    obj.animation_data_create().action = action
    return action


def add_curves(
    obj: bpy.types.Object, action: bpy.types.Action, path: str, group: str, frames: np.ndarray, values: np.ndarray
) -> None:
    """Key a property on every frame at once, without the seconds that keyframe_insert takes.

    path: the property from the object; frames (N,); values (N, K) for its K components. Keys are linear in between.
    """
    for index, column in enumerate(values.T):
        if not hasattr(action, "fcurve_ensure_for_datablock"):  # until 4.3
            curve = action.fcurves.new(path, index=index, action_group=group)
        elif hasattr(action, "fcurves"):  # 4.4 and 4.5: makes the object's slot too, but knows no groups
            curve = action.fcurve_ensure_for_datablock(obj, path, index=index)
        else:
            curve = action.fcurve_ensure_for_datablock(obj, path, index=index, group_name=group)
        curve.keyframe_points.add(len(frames))
        points = np.stack([frames, column], 1).astype(np.float32)
        curve.keyframe_points.foreach_set("co", points.ravel())
        linear = bpy.types.Keyframe.bl_rna.properties["interpolation"].enum_items["LINEAR"].value
        curve.keyframe_points.foreach_set("interpolation", np.full(len(frames), linear, np.int32))
        curve.update()
