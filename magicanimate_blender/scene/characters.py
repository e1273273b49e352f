"""Find the characters of a scene: armatures with the meshes that they carry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import bpy

from ..densepose.bones import BoneSegments, segments_of_bones
from ..densepose.errors import DensePoseError
from .errors import SceneError
from .identity import find_object, key_of
from .roles import get_role

_SURFACES = {"CURVE", "SURFACE", "META", "FONT", "CURVES"}


@dataclass(frozen=True)
class Character:
    """One armature and what it carries, by their keys, which outlive undo and file load; references do not.

    meshes: labelled as parts of the body: skin, clothes, hair, props. occluders: drawn as background in front of it.
    unlabelled: curves, texts and the like, which cannot hold labels and are left out.
    """

    armature: str
    meshes: tuple[str, ...]
    occluders: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()


def find_characters(scene: bpy.types.Scene, objects: Iterable[bpy.types.Object] | None = None) -> list[Character]:
    """Characters among the given objects (a selection, a collection's all_objects) or, without objects, in the scene.

    An armature stands for its character, and so does any mesh it carries. In the whole scene, rigs without a human body
    (a door, a car) are passed over as long as there is one with. Sorted by name; empty if there are none.
    """
    carried = _carried_by_armature(scene)
    if objects is not None:
        chosen = set()
        for obj in objects:
            armature = obj if obj.type == "ARMATURE" else armature_of(obj)
            if armature is not None:
                chosen.add(armature)
        return [_character(a, carried[a]) for a in _by_name(chosen) if a in carried]
    bodies = [armature for armature in carried if _is_humanoid(armature)]
    return [_character(a, carried[a]) for a in _by_name(bodies or carried)]


def require_characters(scene: bpy.types.Scene, objects: Iterable[bpy.types.Object] | None = None) -> list[Character]:
    """find_characters, but SceneError where there is none, saying what is missing."""
    objects = None if objects is None else list(objects)
    characters = find_characters(scene, objects)
    if characters:
        return characters
    among = list(scene.objects) if objects is None else objects
    armatures = [obj for obj in among if obj.type == "ARMATURE"]
    if objects is not None and not among:
        raise SceneError("Nothing is selected.", "Select a rigged character, its armature or its body.")
    if not armatures:
        where = "scene" if objects is None else "selection"
        raise SceneError(
            f"There is no rigged character in the {where}: no armature, and no mesh that follows one.",
            "Add one with Add > Armature > MagicAnimate Sample Character, or bind your mesh to its armature.",
        )
    raise SceneError(
        f"The armature “{armatures[0].name}” carries no mesh that labels can be drawn on.",
        "Bind the body to it: select the mesh, then the armature, and press Ctrl P > With Automatic Weights.",
    )


def armature_of(obj: bpy.types.Object) -> bpy.types.Object | None:
    """The armature that deforms or carries the object, by its Armature modifiers, else by its parents."""
    for modifier in obj.modifiers:
        if modifier.type == "ARMATURE" and modifier.object is not None:
            return modifier.object
    parent = obj.parent
    while parent is not None:
        if parent.type == "ARMATURE":
            return parent
        above = armature_of(parent)
        if above is not None:
            return above
        parent = parent.parent
    return None


def bone_tree(armature: bpy.types.Object) -> tuple[list[str], list[int]]:
    """Names of the armature's bones and the number of each one's parent, -1 for a root."""
    bones = armature.data.bones
    number = {bone.name: i for i, bone in enumerate(bones)}
    return list(number), [number[bone.parent.name] if bone.parent else -1 for bone in bones]


def bone_segments(armature: bpy.types.Object) -> BoneSegments:
    """Body segment of each of `armature.data.bones`, in their order; DensePoseError if none means a part of a body."""
    return segments_of_bones(*bone_tree(armature), _vrm_humanoid(armature))


def get_object(key: str) -> bpy.types.Object:
    """The object with that key (see identity.key_of); SceneError if it was renamed or deleted meanwhile."""
    obj = find_object(key)
    if obj is None:
        raise SceneError(f"There is no object “{key}” any more.", "Choose the character again.")
    return obj


def objects_of(characters: Iterable[Character]) -> list[bpy.types.Object]:
    """All that is drawn of the characters: their meshes, and what hides them. Raises SceneError."""
    return [get_object(key) for character in characters for key in character.meshes + character.occluders]


def _vrm_humanoid(armature: bpy.types.Object) -> dict[str, str] | None:
    """What the VRM add-on wrote down about the rig, if it is there: VRM humanoid bone -> bone name."""
    extension = getattr(armature.data, "vrm_addon_extension", None)
    humanoid = getattr(getattr(extension, "vrm1", None), "humanoid", None)
    if humanoid is None:
        return None
    bones = humanoid.human_bones
    found = {}
    for key in bones.bl_rna.properties.keys():  # noqa: SIM118 - a collection, whose iteration gives the properties
        name = getattr(getattr(getattr(bones, key, None), "node", None), "bone_name", "")
        if name:
            first, *rest = key.split("_")
            found[first + "".join(word.capitalize() for word in rest)] = name
    return found or None


def _objects(scene: bpy.types.Scene) -> Iterable[bpy.types.Object]:
    """The scene's objects and, once, those of the collections that its empties instance."""
    seen = set()
    queue = list(scene.objects)
    while queue:
        obj = queue.pop()
        if obj in seen:
            continue
        seen.add(obj)
        yield obj
        if obj.instance_type == "COLLECTION" and obj.instance_collection is not None:
            queue.extend(obj.instance_collection.all_objects)


def _carried_by_armature(scene: bpy.types.Scene) -> dict[bpy.types.Object, list[bpy.types.Object]]:
    carried: dict[bpy.types.Object, list[bpy.types.Object]] = {}
    for obj in _objects(scene):
        if obj.type == "MESH" or obj.type in _SURFACES:
            armature = armature_of(obj)
            if armature is not None:
                carried.setdefault(armature, []).append(obj)
    return {a: found for a, found in carried.items() if any(obj.type == "MESH" for obj in found)}


def _is_humanoid(armature: bpy.types.Object) -> bool:
    try:
        bone_segments(armature).require_whole_body()
    except DensePoseError:
        return False
    return True


def _by_name(objects: Iterable[bpy.types.Object]) -> Sequence[bpy.types.Object]:
    return sorted(objects, key=key_of)


def _character(armature: bpy.types.Object, carried: Sequence[bpy.types.Object]) -> Character:
    ordered = _by_name(carried)

    def names(role: str, mesh: bool = True) -> tuple[str, ...]:
        return tuple(key_of(obj) for obj in ordered if get_role(obj) == role and (obj.type == "MESH") == mesh)

    return Character(
        key_of(armature),
        meshes=names("body"),
        occluders=names("occlude") + names("occlude", mesh=False),
        unlabelled=names("body", mesh=False),
    )
