"""Characters from libraries, as studios work: linked, instanced and overridden, drawn like local ones."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest

from magicanimate_blender.scene.attribute import LABEL_ATTRIBUTE, paint_labels, read_labels
from magicanimate_blender.scene.characters import find_characters, get_object
from magicanimate_blender.scene.context import depsgraph_of
from magicanimate_blender.scene.errors import SceneError
from magicanimate_blender.scene.evaluate import GeometryCache, extract
from magicanimate_blender.scene.labels import label_character
from magicanimate_blender.scene.part_maps import draw_part_map, read_frames
from magicanimate_blender.scene.sample_character import add_sample_scene

SIZE = 128


def make_library(path: Path, kind: str, subdivision: int = 0) -> dict[int, np.ndarray]:
    """A file with a walking character in the collection Actor, never labelled, and a camera. Returns two maps."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    scene = bpy.context.scene
    armature = add_sample_scene(scene, kind)
    actor = bpy.data.collections.new("Actor")
    scene.collection.children.link(actor)
    (character,) = find_characters(scene)
    for obj in (armature, *(get_object(key) for key in character.meshes)):
        for collection in obj.users_collection:
            collection.objects.unlink(obj)
        actor.objects.link(obj)
    body = get_object(character.meshes[0])
    if subdivision:
        modifier = body.modifiers.new("Subdivision", "SUBSURF")
        modifier.levels, modifier.render_levels = subdivision, subdivision + 1
    body.data.attributes.remove(body.data.attributes[LABEL_ATTRIBUTE])
    maps = {frame: draw_part_map(scene, [character], frame, SIZE, SIZE) for frame in (1, 20)}
    body.data.attributes.remove(body.data.attributes[LABEL_ATTRIBUTE])
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    return maps


def open_shot(*libraries: Path, how: str) -> bpy.types.Scene:
    """A new file that uses each library's Actor, seen by the first library's camera."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    scene = bpy.context.scene
    for number, library in enumerate(libraries):
        with bpy.data.libraries.load(str(library), link=True) as (source, target):
            target.collections = ["Actor"]
            target.objects = [name for name in source.objects if "Camera" in name] if number == 0 else []
        for camera in target.objects:
            scene.collection.objects.link(camera)
            scene.camera = camera
        (actor,) = target.collections
        if how == "instanced":
            empty = bpy.data.objects.new("Instance", None)
            empty.instance_type, empty.instance_collection = "COLLECTION", actor
            scene.collection.objects.link(empty)
        elif how == "overridden":
            actor.override_hierarchy_create(scene, bpy.context.view_layer)
        else:
            scene.collection.children.link(actor)
    bpy.context.view_layer.update()
    return scene


@pytest.mark.parametrize("how", ["linked", "instanced", "overridden"])
@pytest.mark.parametrize("subdivision", [0, 1])
def test_a_characters_map_is_the_same_from_a_library(blender, tmp_path, how, subdivision):
    expected = make_library(tmp_path / "actor.blend", "male", subdivision)
    scene = open_shot(tmp_path / "actor.blend", how=how)
    (character,) = find_characters(scene)
    for frame, picture in expected.items():
        assert len(np.unique(picture)) > 15
        np.testing.assert_array_equal(draw_part_map(scene, [character], frame, SIZE, SIZE), picture)
    body = get_object(character.meshes[0])
    assert body.data.library is not None
    assert LABEL_ATTRIBUTE not in body.data.attributes
    assert set(np.unique(read_labels(body.data))) >= set(range(1, 25))


def test_two_libraries_with_the_same_names_stay_two(blender, tmp_path):
    """Both rigs are called Hero: by name alone one of them would be drawn twice."""
    for kind in ("male", "female"):
        make_library(tmp_path / f"{kind}.blend", kind)
        armature = next(obj for obj in bpy.data.objects if obj.type == "ARMATURE")
        body = next(obj for obj in bpy.data.objects if obj.type == "MESH")
        armature.name, body.name, body.data.name = "Hero", "Hero Body", "Hero Mesh"
        armature.location.x = {"male": -0.4, "female": 0.4}[kind]
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / f"{kind}.blend"))
    scene = open_shot(tmp_path / "male.blend", tmp_path / "female.blend", how="linked")
    characters = find_characters(scene)
    assert [character.armature for character in characters] == ["Hero [female.blend]", "Hero [male.blend]"]
    alone = [draw_part_map(scene, [character], 20, SIZE, SIZE) for character in characters]
    both = draw_part_map(scene, characters, 20, SIZE, SIZE)
    assert (alone[0] != alone[1]).any()
    np.testing.assert_array_equal(both > 0, (alone[0] > 0) | (alone[1] > 0))


def test_what_the_viewport_shows_of_a_linked_mesh_has_its_labels(blender, tmp_path):
    """The overlay draws the viewport's own evaluation, in which a linked mesh has no attribute."""
    make_library(tmp_path / "actor.blend", "male", subdivision=1)
    scene = open_shot(tmp_path / "actor.blend", how="overridden")
    (character,) = find_characters(scene)
    label_character(character)
    shown = extract(scene, depsgraph_of(scene), [character], GeometryCache())
    (drawn,) = read_frames(scene, [character], [scene.frame_current], SIZE, SIZE)
    assert len(drawn.geometry.triangles) == 4 * len(shown.triangles)
    assert set(np.unique(shown.labels)) == set(np.unique(drawn.geometry.labels)) == set(range(1, 25))


def test_labels_cannot_be_painted_where_they_would_be_lost(blender, tmp_path):
    make_library(tmp_path / "actor.blend", "male")
    scene = open_shot(tmp_path / "actor.blend", how="linked")
    (character,) = find_characters(scene)
    label_character(character)
    with pytest.raises(SceneError, match=r"linked from .*actor.blend"):
        paint_labels(get_object(character.meshes[0]), 3, [0])
