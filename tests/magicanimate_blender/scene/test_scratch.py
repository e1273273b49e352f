"""The scratch scene: what it evaluates, and that nothing of it stays or reaches the artist's file."""

from __future__ import annotations

import bpy
import numpy as np
import pytest

from magicanimate_blender.scene import scratch
from magicanimate_blender.scene.characters import find_characters, get_object, objects_of
from magicanimate_blender.scene.errors import SceneError
from magicanimate_blender.scene.evaluation import Evaluation
from magicanimate_blender.scene.labels import label_character
from magicanimate_blender.scene.part_maps import draw_part_map, read_frames
from magicanimate_blender.scene.scratch import ScratchScene
from magicanimate_blender.scene.simulation import simulation_notes

KINDS = ("scenes", "collections", "objects", "meshes", "armatures", "shape_keys", "actions", "cameras", "materials")


def file_contents() -> dict[str, list[tuple[str, int]]]:
    """Names and numbers of users of all data."""
    return {kind: [(data.name_full, data.users) for data in getattr(bpy.data, kind)] for kind in KINDS}


def heights(mesh: bpy.types.Mesh) -> np.ndarray:
    values = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", values)
    return values[2::3]


def add_skirt(scene, armature) -> bpy.types.Object:
    """Cloth around the hips, which falls on a body that moves."""
    bpy.ops.mesh.primitive_cone_add(vertices=24, radius1=0.45, radius2=0.2, depth=0.5, end_fill_type="NOTHING")
    skirt = bpy.context.object
    skirt.name, skirt.location, skirt.parent = "Skirt", (0, 0, 0.1), armature
    subdivide = skirt.modifiers.new("Finer", "SUBSURF")
    subdivide.levels = subdivide.render_levels = 1
    cloth = skirt.modifiers.new("Cloth", "CLOTH")
    cloth.point_cache.frame_start, cloth.point_cache.frame_end = 1, 12
    skirt.vertex_groups.new(name="pelvis").add(range(24, 48), 1.0, "REPLACE")
    cloth.settings.vertex_group_mass = "pelvis"
    return skirt


def test_nothing_stays_behind(scene, walking, body):
    shape = body(walking)
    shape.shape_key_add(name="Basis")
    shape.shape_key_add(name="Fat").value = 0.5
    before = file_contents()
    with (
        ScratchScene(scene, objects_of([walking])) as first,
        ScratchScene(scene, objects_of([walking]), rest=True) as second,
    ):
        first.evaluate(20)
        second.evaluate(1)
        assert len(bpy.data.scenes) == 3
    assert file_contents() == before


def test_what_an_undo_step_or_a_crash_brought_back_is_removed(scene, walking):
    before = file_contents()
    lost = ScratchScene(scene, objects_of([walking]))
    lost.evaluate(3)
    scratch._open.discard(lost)  # as after an undo step that was written meanwhile
    with ScratchScene(scene, objects_of([walking])) as used:
        scratch.remove_left_over()
        assert used.present()
        used.evaluate(4)
    assert file_contents() == before


def test_a_scratch_scene_that_somebody_deletes_is_made_again(scene, walking):
    evaluation = Evaluation(scene, [walking])
    first = evaluation.step(10).positions
    bpy.data.batch_remove([s for s in bpy.data.scenes if scratch.is_scratch(s)])
    scratch.close_all()
    np.testing.assert_array_equal(evaluation.step(10).positions, first)
    evaluation.close()
    assert len(bpy.data.scenes) == 1


def test_an_edit_between_frames_is_refused_once_it_would_show(scene, walking, body):
    evaluation = Evaluation(scene, [walking])
    evaluation.step(10)
    body(walking).data.vertices[0].co.x += 1.0
    evaluation.step(11)  # the copy is as it was
    scratch.close_all()  # as undo and save do
    with pytest.raises(SceneError, match="was edited while"):
        evaluation.step(12)
    evaluation.close()


def test_rest_position_and_edit_mode_are_said_before_anything_is_drawn(scene, walking, body):
    armature = get_object(walking.armature)
    armature.data.pose_position = "REST"
    with pytest.raises(SceneError, match="Rest Position") as caught:
        draw_part_map(scene, [walking], 20, 64, 64)
    assert caught.value.code == "rest-position"
    armature.data.pose_position = "POSE"
    for obj in (armature, body(walking)):
        bpy.context.view_layer.objects.active = obj
        bpy.ops.object.mode_set(mode="EDIT")
        with pytest.raises(SceneError, match="Edit Mode") as caught:
            draw_part_map(scene, [walking], 20, 64, 64)
        assert obj.name in caught.value.message
        assert caught.value.code == "edit-mode"
        bpy.ops.object.mode_set(mode="OBJECT")
    assert draw_part_map(scene, [walking], 20, 64, 64).any()


def test_a_mesh_in_edit_mode_gets_no_labels_and_no_empty_attribute(scene, sample, body):
    obj = body(sample)
    assert "dp_label" not in obj.data.attributes
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode="EDIT")
    with pytest.raises(SceneError, match="is in Edit Mode"):
        label_character(sample)
    bpy.ops.object.mode_set(mode="OBJECT")
    assert "dp_label" not in obj.data.attributes


def test_a_driver_that_reads_the_scenes_frame_is_refused_and_one_that_says_frame_is_drawn(scene, walking, body):
    curve = body(walking).driver_add("location", 0)
    curve.driver.expression = "frame * 0.01"
    still, moved = (draw_part_map(scene, [walking], frame, 128, 128) for frame in (1, 30))
    assert (still != moved).any()
    variable = curve.driver.variables.new()
    variable.name, variable.targets[0].id_type = "now", "SCENE"
    variable.targets[0].id, variable.targets[0].data_path = scene, "frame_current"
    curve.driver.expression = "now * 0.01"
    with pytest.raises(SceneError, match="reads the scene's current frame"):
        draw_part_map(scene, [walking], 1, 64, 64)


def test_a_rigid_body_is_refused(scene, walking, body):
    bpy.context.view_layer.objects.active = body(walking)
    bpy.ops.rigidbody.object_add()
    with pytest.raises(SceneError, match="rigid body"):
        draw_part_map(scene, [walking], 1, 64, 64)


def test_a_cloth_that_is_not_baked_is_drawn_as_it_plays_wherever_the_artist_looks(scene, walking):
    skirt = add_skirt(scene, get_object(walking.armature))
    (character,) = find_characters(scene)
    assert skirt.name in character.meshes
    played = {}
    for frame in range(1, 13):
        scene.frame_set(frame)
        played[frame] = heights(skirt.evaluated_get(bpy.context.evaluated_depsgraph_get()).data)
    assert np.abs(played[12] - played[1]).max() > 0.02
    scene.frame_set(40)
    with ScratchScene(scene, objects_of([character])) as drawn:
        for frame in (5, 12, 8):  # and back: from the start again
            drawn.evaluate(frame)
            scene.frame_set(3)  # as somebody scrubs
            np.testing.assert_allclose(heights(drawn.evaluated(skirt).data), played[frame], atol=1e-5)
    (note,) = simulation_notes(objects_of([character]))
    assert "“Cloth” of “Skirt” is not baked" in note.message


def test_a_baked_cloth_is_read_from_its_cache_with_the_levels_of_a_render(scene, walking):
    skirt = add_skirt(scene, get_object(walking.armature))
    smooth = skirt.modifiers.new("Smooth", "SUBSURF")
    smooth.levels, smooth.render_levels = 0, 1
    (character,) = find_characters(scene)
    with bpy.context.temp_override(point_cache=skirt.modifiers["Cloth"].point_cache, scene=scene):
        bpy.ops.ptcache.bake(bake=True)
    played = {}
    for frame in (12, 5):
        scene.frame_set(frame)
        played[frame] = heights(skirt.evaluated_get(bpy.context.evaluated_depsgraph_get()).data)
    assert np.abs(played[12] - played[5]).max() > 0.01
    with ScratchScene(scene, objects_of([character])) as drawn:
        assert not drawn.simulates
        for frame in (12, 5):
            drawn.evaluate(frame)
            mesh = drawn.evaluated(skirt).data
            assert len(mesh.vertices) > 3 * len(played[frame])
            assert abs(heights(mesh).mean() - played[frame].mean()) < 0.01
    assert (smooth.levels, smooth.render_levels) == (0, 1)
    assert skirt.modifiers["Cloth"].point_cache.is_baked
    assert not simulation_notes(objects_of([character]))


def test_clothes_bound_to_the_body_follow_the_body_of_a_render(scene, walking, body):
    """A Surface Deform finds the copy, which has a render's levels, and not the original with the viewport's."""
    obj = body(walking)
    patch = obj.copy()
    patch.data, patch.name = obj.data.copy(), "Shirt"
    scene.collection.objects.link(patch)
    patch.modifiers.clear()
    target = patch.modifiers.new("Shrink", "SHRINKWRAP")
    target.target, target.wrap_method = obj, "NEAREST_VERTEX"
    hidden = obj.modifiers.new("Only in renders", "DISPLACE")
    hidden.show_viewport, hidden.strength = False, 0.2
    (character,) = find_characters(scene)
    with ScratchScene(scene, objects_of([character])) as drawn:
        drawn.evaluate(10)
        rendered = np.ptp(heights(drawn.evaluated(patch).data))
    with ScratchScene(scene, objects_of([character]), viewport=True) as shown:
        shown.evaluate(10)
        in_viewport = np.ptp(heights(shown.evaluated(patch).data))
    assert rendered > in_viewport + 0.03


def test_reading_frames_leaves_no_trace(scene, walking):
    before = file_contents()
    list(read_frames(scene, [walking], [1, 20], 32, 32))
    assert file_contents() == before
