"""How modifiers carry labels to the faces that they make: measured on copies in a scratch scene."""

from __future__ import annotations

from collections.abc import Iterable

import bpy
import numpy as np

from .attribute import has_labels, read_labels
from .errors import SceneError
from .identity import key_of
from .scratch import ScratchScene


def labels_in_viewport(scene: bpy.types.Scene, objects: Iterable[bpy.types.Object]) -> dict[str, np.ndarray]:
    """Labels of the evaluated faces that the viewport shows, (faces,) int32, by object key.

    For meshes that cannot hold labels. What a modifier drops is left out. Not within a draw handler.
    """
    objects = list(objects)
    found = {}
    with ScratchScene(scene, objects, viewport=True, everything=True) as scratch:
        scratch.evaluate(scene.frame_current)
        for obj in objects:
            mesh = scratch.evaluated(obj).data
            if has_labels(mesh):
                found[key_of(obj)] = read_labels(mesh)
    return found


def dropped_labels(scene: bpy.types.Scene, obj: bpy.types.Object) -> SceneError:
    """The error for a labelled mesh that has no labels after its modifiers; names the modifier that drops them."""
    with ScratchScene(scene, [obj], everything=True) as scratch:
        copy = scratch.own(obj)
        shown = [modifier for modifier in copy.modifiers if modifier.show_viewport]
        name = shown[-1].name if shown else "?"
        for modifier in reversed(shown):
            modifier.show_viewport = False
            scratch.evaluate(scene.frame_current)
            name = modifier.name
            if has_labels(scratch.evaluated(obj).data):
                break
    return SceneError(
        f"The modifier “{name}” of “{obj.name}” drops the part labels.",
        "Switch that modifier off, apply it and label again, or set the object to Ignore or Occlude.",
    )
