"""Characters to test with."""

from __future__ import annotations

from collections.abc import Callable

import bpy
import numpy as np
import pytest

from magicanimate_blender.scene.characters import Character, find_characters
from magicanimate_blender.scene.sample_character import add_sample_character, add_sample_scene


@pytest.fixture
def sample(scene) -> Character:
    """The sample character at rest, without an action."""
    return find_characters(scene, [add_sample_character(scene, action=False)])[0]


@pytest.fixture
def walking(scene) -> Character:
    """The sample character with action and camera."""
    return find_characters(scene, [add_sample_scene(scene)])[0]


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
