"""What is known of the meshes outlives posing, frames and undo, but not an edit."""

import time

import bpy
import pytest

from magicanimate_blender.scene.characters import find_characters
from magicanimate_blender.ui import geometry


@pytest.fixture
def character(stage):
    geometry.forget()
    (found,) = find_characters(stage)
    end = time.monotonic() + 10
    while not geometry.ready([found]):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def known(character) -> bool:
    return character in geometry.cache().cuts


def test_posing_and_scrubbing_keep_it(stage, character):
    stage.frame_set(3)
    stage.objects["Sample Female"].pose.bones["head"].rotation_quaternion = (1, 0.2, 0, 0)
    bpy.context.view_layer.update()
    assert known(character)


def test_editing_the_mesh_forgets_it(stage, character):
    mesh = stage.objects["Sample Female Body"].data
    mesh.vertices[0].co.x += 1.0
    mesh.update()
    bpy.context.view_layer.update()
    assert not known(character)


def test_editing_another_mesh_keeps_it(stage, character):
    bpy.ops.mesh.primitive_cube_add()
    bpy.context.object.data.vertices[0].co.x += 1.0
    bpy.context.object.data.update()
    bpy.context.view_layer.update()
    assert known(character)


def test_undo_keeps_it_unless_the_mesh_is_another(stage, character):
    geometry.forget_if_other()
    assert known(character)
    stage.objects["Sample Female Body"].data.vertices[0].co.x += 1.0
    geometry.forget_if_other()
    assert not known(character)
