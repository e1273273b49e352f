"""Characters to test with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest

from magicanimate_blender.scene.characters import Character, find_characters
from magicanimate_blender.scene.sample_character import add_sample_character, add_sample_scene


@pytest.fixture
def sample(scene) -> Character:
    """The sample character at rest, without an action."""
    return find_characters(scene, [add_sample_character(scene, action=False)])[0]


@pytest.fixture(scope="session")
def walking_file(blender, tmp_path_factory) -> Path:
    """The sample scene, made once."""
    blender.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    add_sample_scene(bpy.context.scene)
    path = tmp_path_factory.mktemp("sample") / "walking.blend"
    blender.ops.wm.save_as_mainfile(filepath=str(path))
    return path


@pytest.fixture
def walking(walking_file, scene) -> Character:
    """The sample character with action and camera."""
    with bpy.data.libraries.load(str(walking_file)) as (source, target):
        target.objects = source.objects
    for obj in target.objects:
        scene.collection.objects.link(obj)
    scene.camera = next(obj for obj in target.objects if obj.type == "CAMERA")
    scene.frame_start, scene.frame_end = 1, 48
    scene.render.resolution_x = scene.render.resolution_y = 512
    bpy.context.view_layer.update()
    return find_characters(scene)[0]


def body_of(character: Character) -> bpy.types.Object:
    """The character's first mesh."""
    return bpy.data.objects[character.meshes[0]]


@pytest.fixture
def body() -> Callable[[Character], bpy.types.Object]:
    """The first mesh of a character."""
    return body_of


@pytest.fixture
def centres() -> Callable[[bpy.types.Mesh], np.ndarray]:
    """(F, 3) face centres of a mesh."""

    def read(mesh: bpy.types.Mesh) -> np.ndarray:
        values = np.empty((len(mesh.polygons), 3), np.float32)
        mesh.polygons.foreach_get("center", values.ravel())
        return values

    return read
