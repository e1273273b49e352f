"""Characters to test with."""

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
