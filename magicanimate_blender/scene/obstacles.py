"""What in a scene would make every part map wrong: said before anything is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import bpy

from .characters import Character, get_object, objects_of
from .errors import Note, SceneError
from .simulation import require_simulations, simulation_notes


def require_drawable(scene: bpy.types.Scene, characters: Sequence[Character]) -> None:
    """SceneError, with the code of the button that helps, for the first thing that must be changed."""
    waiting = waits_for(characters)
    if waiting is not None:
        raise waiting
    require_simulations(scene, objects_of(characters))
    for obj in (*(get_object(character.armature) for character in characters), *objects_of(characters)):
        for path in _reads_frame_of(scene, obj):
            raise SceneError(
                f"A driver of “{obj.name}” ({path}) reads the scene's current frame as a property, "
                "which is not at hand while other frames are drawn.",
                "Write “frame” in the driver's expression instead of that variable.",
                code="frame-driver",
            )


def waits_for(characters: Iterable[Character]) -> SceneError | None:
    """What keeps part maps from being drawn until the person has finished: Edit Mode, or a rig in Rest Position."""
    for character in characters:
        armature = get_object(character.armature)
        editing = next((o for o in (armature, *objects_of([character])) if o.mode == "EDIT"), None)
        if editing is not None:
            return SceneError(
                f"“{editing.name}” is in Edit Mode, where its animation is not shown.",
                "Leave Edit Mode (Tab).",
                code="edit-mode",
            )
        if armature.data.pose_position == "REST":
            return SceneError(
                f"“{armature.name}” is in Rest Position, so that every frame would show its rest pose.",
                "Switch it to Pose Position.",
                code="rest-position",
            )
    return None


def notes_of(characters: Sequence[Character]) -> list[Note]:
    """What is drawn right, but not as quickly as it could be."""
    return simulation_notes(objects_of(characters))


def _reads_frame_of(scene: bpy.types.Scene, obj: bpy.types.Object) -> Iterator[str]:
    """Data paths of drivers that have the scene's frame as a variable: they hear of no other frame than the current."""
    data = obj.data
    for owner in (obj, data, getattr(data, "shape_keys", None)):
        animation = getattr(owner, "animation_data", None)
        for curve in animation.drivers if animation is not None else ():
            for variable in curve.driver.variables:
                if variable.type == "SINGLE_PROP" and any(
                    target.id == scene and target.data_path.startswith("frame_") for target in variable.targets
                ):
                    yield curve.data_path
