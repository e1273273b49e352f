"""Results that an unsaved file uses move in beside it when it is saved, with relative paths."""

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


def move_in(filepath: str) -> None:
    """Before the first save as `filepath`: copy what the file shows of our results, and refer to the copies."""
    _moved.clear()
    if bpy.data.filepath or not filepath or not preferences().beside_file:
        return
    for data, name in _references():
        path = Path(getattr(data, name))
        source = path if path.is_dir() else path.parent
        if path.is_absolute() and source.is_dir():
            inside = Path(FOLDER, data[TAG], source.name)
            try:
                shutil.copytree(source, Path(filepath).parent / inside, dirs_exist_ok=True)
            except OSError:  # then the file refers to where they are, as before
                continue
            _moved.append((data, name, str(path)))
            setattr(data, name, f"//{inside.as_posix()}/{'' if path.is_dir() else path.name}")


def move_back() -> None:
    """After a save that left the open file unsaved, as Save Copy does: relative paths would lead nowhere."""
    for data, name, path in _moved if not bpy.data.filepath else ():
        setattr(data, name, path)
    _moved.clear()


def _references() -> Iterator[tuple[bpy.types.bpy_struct, str]]:
    yield from ((image, "filepath") for image in bpy.data.images if TAG in image)
    for scene in bpy.data.scenes:
        yield from ((strip, "directory") for strip in all_strips(scene) if TAG in strip)
