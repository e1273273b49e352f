"""What a file uses lies beside it, with relative paths, wherever it is saved: both can be moved together.

That is: the frames of results that it shows, and reference pictures that were chosen in the panel.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import bpy

from ..animation import OwnFiles, Usage
from ..client import FileProblem
from ..client.files import file_problem, sha256
from ..results.clip import TAG, all_strips
from . import messages
from .messages import Message
from .preferences import preferences

FOLDER = "magicanimate"
"""Beside the .blend: one folder for each result, by its id, and one for reference pictures."""
REFERENCES = "reference"
PICTURE = "magicanimate_picture"
"""On images that we loaded for a scene's reference; one that the person loaded is theirs, and keeps its path."""
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_moved: list[tuple[bpy.types.bpy_struct, str, str]] = []
"""What refers to a file of ours, by which property, and the path it had."""
_target = ""


def folder_beside(blend: str) -> Path | None:
    """The folder of ours beside a .blend; None if it was never saved."""
    return Path(blend).parent / FOLDER if blend else None


def move_in(filepath: str) -> None:
    """Before a save as `filepath`: copy what the file uses of ours to beside it, and refer to the copies.

    What can't be copied stays where it is and is told.
    """
    global _target
    _moved.clear()
    _target = filepath
    if not filepath or not preferences().beside_file:
        return
    home = Path(filepath).parent
    for data, name in _references():
        try:
            _move_result(data, name, home)
        except FileProblem as problem:
            _tell(f"The frames of “{data.name}”", problem)
    for image in _reference_pictures():
        try:
            _move_picture(image, home)
        except FileProblem as problem:
            _tell(f"The reference picture “{image.name}”", problem)


def move_back() -> None:
    """After a save that left the open file where it was, as Save Copy does: its own paths are the right ones."""
    for data, name, path in _moved if bpy.data.filepath != _target else ():
        setattr(data, name, path)
    _moved.clear()


def note_uses(filepath: str) -> None:
    """After a save: note beside the results what the saved file shows of them, so that nobody deletes it."""
    blend = Path(filepath)
    used = {found for path in bpy.utils.blend_paths(absolute=True) for found in ID.findall(path)}
    folders = {_results_around(_absolute(getattr(data, name))) for data, name in _references()}
    folders.add(blend.parent / FOLDER)
    for folder in folders:
        if folder is not None and folder.is_dir():
            try:
                Usage(folder).note(blend, used)
            except OSError as error:
                messages.tell(file_problem(folder, error))
            except FileProblem as problem:
                messages.tell(problem)


def _move_result(data: bpy.types.bpy_struct, name: str, home: Path) -> None:
    """data: an image, with the path of its first file, or a strip, with that of its folder. Raises FileProblem."""
    path = _absolute(getattr(data, name))
    is_folder = name == "directory"
    source, file = (path, "") if is_folder else (path.parent, path.name)
    copy = home / FOLDER / data[TAG]
    if source.parent != copy:
        files = {f"{source.name}/{each.name}": each for each in sorted(source.glob("*.png"))}
        if not files:
            raise FileProblem(
                f"{source} is missing", fix="Put that folder back, or delete the result.", code="no-frames"
            )
        OwnFiles(copy).add(files)
    _refer(data, name, copy / source.name / file, home, "/" if is_folder else "")


def _move_picture(image: bpy.types.Image, home: Path) -> None:
    """Raises FileProblem."""
    path = _absolute(image.filepath)
    if not path.is_file():
        raise FileProblem(f"{path} is missing", fix="Choose the picture again.", code="no-picture")
    if not path.is_relative_to(home):
        own, name = OwnFiles(home / FOLDER / REFERENCES), path.name
        if own.add({name: path}):  # another picture of that name is there
            name = f"{path.stem}-{_short_hash(path)}{path.suffix}"
            own.add({name: path})
        path = own.folder / name
    _refer(image, "filepath", path, home)


def _refer(data: bpy.types.bpy_struct, name: str, path: Path, home: Path, end: str = "") -> None:
    before, after = getattr(data, name), _relative(path, home) + end
    if after.rstrip("/") != before.rstrip("/\\"):
        _moved.append((data, name, before))
        setattr(data, name, after)


def _relative(path: Path, home: Path) -> str:
    """As Blender has to find it before it writes the file: it turns paths relative to the old place into new ones.

    Absolute from one Windows drive to another: the next save there makes it relative.
    """
    try:
        relative = bpy.path.relpath(str(path), start=None if bpy.data.filepath else str(home))
    except ValueError:
        return str(path)
    return relative.replace("\\", "/")


def _absolute(path: str) -> Path:
    """Without .. in it, so that it can be compared."""
    return Path(os.path.normpath(bpy.path.abspath(path)))


def _short_hash(path: Path) -> str:
    try:
        return sha256(path.read_bytes())[:8]
    except OSError as error:
        raise file_problem(path, error) from error


def _tell(what: str, problem: FileProblem) -> None:
    messages.tell(
        Message(
            f"{what} could not be copied beside the .blend: {problem.detail}.",
            f"{problem.fix} Then save again.",
            "not-beside",
        )
    )


def _references() -> Iterator[tuple[bpy.types.bpy_struct, str]]:
    """What shows results: local images and strips, with the property that names the place."""
    yield from ((image, "filepath") for image in bpy.data.images if TAG in image and image.library is None)
    for scene in bpy.data.scenes:
        strips = all_strips(scene) if scene.library is None else ()
        yield from ((strip, "directory") for strip in strips if TAG in strip)


def _reference_pictures() -> list[bpy.types.Image]:
    """Reference pictures of the file's scenes that we loaded and that lie on disk, each once."""
    chosen = {scene.magicanimate.reference for scene in bpy.data.scenes} - {None}
    ours = (image for image in chosen if PICTURE in image and image.library is None)
    return [image for image in ours if image.source == "FILE" and image.packed_file is None and image.filepath]


def _results_around(path: Path) -> Path | None:
    """The folder of results that a path within one of them leads through."""
    return next((parent.parent for parent in path.parents if ID.fullmatch(parent.name)), None)
