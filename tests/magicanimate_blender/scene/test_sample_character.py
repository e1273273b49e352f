"""The sample character: 55 SMPL-X joints, skinned, walking on the ground in a loop."""

import bpy
import numpy as np
import pytest

from magicanimate_blender.scene.context import depsgraph_of
from magicanimate_blender.scene.sample_character import add_sample_character, add_sample_scene
from magicanimate_blender.scene.skeleton import SMPLX_JOINTS, SMPLX_PARENTS


def posed(scene, frame: int) -> np.ndarray:
    scene.frame_set(frame)
    body = next(obj for obj in scene.objects if obj.type == "MESH").evaluated_get(depsgraph_of(scene))
    positions = np.empty((len(body.data.vertices), 3), np.float32)
    body.data.vertices.foreach_get("co", positions.ravel())
    return positions


@pytest.mark.parametrize("kind", ["male", "female"])
def test_has_the_joints_of_smplx_and_weights_that_sum_to_one(scene, kind):
    armature = add_sample_character(scene, kind, action=False)
    parents = {bone.name: bone.parent.name if bone.parent else None for bone in armature.data.bones}
    assert parents == SMPLX_PARENTS
    (body,) = armature.children
    assert [group.name for group in body.vertex_groups] == list(SMPLX_JOINTS)
    sums = np.array([sum(element.weight for element in vertex.groups) for vertex in body.data.vertices])
    np.testing.assert_allclose(sums, 1, atol=1e-5)


def test_stands_on_the_ground_facing_minus_y_and_looks_the_same_unposed(scene):
    armature = add_sample_character(scene, "male", action=False)
    (body,) = armature.children
    rest = np.array([vertex.co for vertex in body.data.vertices])
    np.testing.assert_allclose(posed(scene, 1), rest, atol=1e-5)
    assert rest[:, 2].min() == pytest.approx(0, abs=1e-3)
    assert 1.6 < rest[:, 2].max() < 1.9
    toes, head = armature.data.bones["left_foot"].head_local, armature.data.bones["left_ankle"].head_local
    assert toes.y < head.y
    assert armature.data.bones["left_wrist"].head_local.x > 0


def test_walks_on_the_ground_and_loops(scene):
    armature = add_sample_character(scene)
    action = armature.animation_data.action
    assert action.use_cyclic
    assert tuple(action.frame_range) == (1, 49)
    first = posed(scene, 1)
    np.testing.assert_allclose(posed(scene, 49), first, atol=1e-5)
    np.testing.assert_allclose(posed(scene, 97), first, atol=1e-4)
    lowest = [posed(scene, frame)[:, 2].min() for frame in range(1, 49)]
    assert min(lowest) > -0.02
    assert max(lowest) < 0.03
    # no joint jumps between frames: quaternions of neighbouring keys lie on the same side
    steps = [np.abs(posed(scene, frame + 1) - posed(scene, frame)).max() for frame in range(1, 48)]
    assert max(steps) < 0.25


def test_waves_above_its_head(scene):
    armature = add_sample_character(scene)
    scene.frame_set(19)
    assert armature.pose.bones["right_middle3"].head.z > armature.pose.bones["head"].head.z
    assert armature.pose.bones["left_wrist"].head.z < armature.pose.bones["pelvis"].head.z + 0.1


def test_the_scene_has_a_camera_that_sees_all_of_it(scene):
    armature = add_sample_scene(scene)
    assert scene.camera is not None
    assert (scene.frame_start, scene.frame_end) == (1, 48)
    assert bpy.context.view_layer.objects.active == armature


def test_a_scene_that_no_window_shows_can_have_one(scene):
    other = bpy.data.scenes.new("Other")
    armature = add_sample_character(other, action=False)
    assert (armature.name in other.objects, len(armature.data.bones), armature.mode) == (True, 55, "OBJECT")
    assert other.view_layers[0].objects.active == armature
    assert bpy.context.scene == scene
