"""Results that a file uses lie beside it, with relative paths, wherever it is saved: both can be moved together."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import bpy

from ..results.clip import TAG, all_strips
from .preferences import preferences

FOLDER = "magicanimate"
"""Beside the .blend: one folder for each result, by its id."""

_moved: list[tuple[bpy.types.bpy_struct, str, str]] = []
"""What refers to a result, by which property, and the path it had."""
_target = ""


def move_in(filepath: str) -> None:
    """Before a save as `filepath`: copy what the file shows of our results to there, and refer to the copies."""
    global _target
    _moved.clear()
    _target = filepath
    if not filepath or not preferences().beside_file:
        return
    home = Path(filepath).parent
    for data, name in _references():
        path = Path(bpy.path.abspath(getattr(data, name)))
        source = path if path.is_dir() else path.parent
        if path.is_relative_to(home / FOLDER) or not source.is_dir():
            continue
        copy = home / FOLDER / data[TAG] / source.name
        try:
            shutil.copytree(source, copy, dirs_exist_ok=True)
            stored = _relative(copy, home)
        except (OSError, ValueError):  # then the file refers to where they are, as before
            continue
        _moved.append((data, name, getattr(data, name)))
        setattr(data, name, f"{stored}/{'' if path.is_dir() else path.name}")


def move_back() -> None:
    """After a save that left the open file where it was, as Save Copy does: its own paths are the right ones."""
    for data, name, path in _moved if bpy.data.filepath != _target else ():
        setattr(data, name, path)
    _moved.clear()


def _relative(path: Path, home: Path) -> str:
    """As Blender has to find it before it writes the file: it turns paths relative to the old place into new ones.

    Raises ValueError from one Windows drive to another.
    """
    return bpy.path.relpath(str(path), start=None if bpy.data.filepath else str(home)).replace("\\", "/")


def _references() -> Iterator[tuple[bpy.types.bpy_struct, str]]:
    yield from ((image, "filepath") for image in bpy.data.images if TAG in image)
    for scene in bpy.data.scenes:
        yield from ((strip, "directory") for strip in all_strips(scene) if TAG in strip)
