"""Blender in tests: `bpy` as a module, with settings of its own and an empty file for each test that asks for one."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

if importlib.util.find_spec("bpy") is None:  # the pure packages are tested in any Python
    collect_ignore_glob = ["scene/*", "results/*", "ui/*"]


@pytest.fixture(scope="session")
def blender() -> ModuleType:
    """bpy, loaded once."""
    bpy = pytest.importorskip("bpy")
    return bpy


@pytest.fixture
def empty_file(blender: ModuleType) -> ModuleType:
    """bpy with a new file that holds nothing; add-ons stay as they are."""
    blender.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    return blender


@pytest.fixture
def scene(empty_file: ModuleType):
    """The scene of an empty file."""
    return empty_file.context.scene
