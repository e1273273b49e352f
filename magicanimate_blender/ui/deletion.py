"""Deleting a result so that undo brings it back: its files lie in a trash of ours until the file is saved or closed.

What decides is the file's own undo history: `SceneSettings.deleted` holds the ids of deleted results, so after every
undo and redo it says which of them are deleted in the state that the person went to.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import bpy

from .. import results
from ..animation import OwnFiles, Record, Trash, Users, mentions, recover, users_beside, users_noted
from ..animation.own_files import REGISTER
from ..client import FileProblem
from ..results import Uses, uses_of
from ..results.clip import all_strips, is_tagged
from ..scene.errors import SceneError
from ..server_manager.running import is_alive
from . import clips, messages, runtime, thumbnails
from .beside import folder_beside
from .messages import Message
from .settings import forget_job

NAMED = 3
"""How many files a sentence names."""


@dataclass(frozen=True)
class Plan:
    """What deleting a result would do. files: in the folder of results; copies: beside the open file.

    copy_users: other .blend files for whose sake the copies stay. changed: files beside the open file that are not as
    we wrote them, and stay.
    """

    record: Record
    files: tuple[Path, ...]
    copies: tuple[Path, ...]
    copy_users: Users
    changed: tuple[Path, ...]
    uses: Uses

    def sentences(self) -> list[str]:
        """For the person who is about to delete it."""
        size = sum(path.stat().st_size for path in (*self.files, *self.copies))
        count = len(self.files) + len(self.copies)
        said = [f"{count} files ({max(size / 1e6, 0.1):.1f} MB) are deleted: frames, part maps, video, recipe."]
        if self.copies:
            said.append(f"{len(self.copies)} of them are the copies beside this file.")
        said += self.kept()
        if self.uses:
            said.append(f"It is taken out of this file: {', '.join(self.uses.counted())}.")
        said.append("Undo brings all of it back, until this file is saved or closed.")
        return said

    def kept(self) -> list[str]:
        """What is not deleted, and why."""
        said = []
        if self.copy_users.files:
            said.append(f"The copies beside this file stay: {_named(self.copy_users.files)} may show them.")
        elif not self.copy_users.complete:
            said.append("The copies beside this file stay: there are too many files to see whether another shows them.")
        if self.changed:
            said.append(f"{_named(self.changed)} beside this file stays: it was changed since we wrote it.")
        return said


@dataclass
class Deleted:
    """A result that was deleted since the file was opened or saved.

    files: by the folder that they lie in, which has a trash. blend: the open file, None if it was never saved.
    thrown: whether they are in the trash now.
    """

    title: str
    files: dict[Path, tuple[Path, ...]]
    blend: Path | None
    thrown: bool = True


_deleted: dict[str, Deleted] = {}
_gone: dict[str, str] = {}
"""Titles of results that were deleted for good while the file was open, by id."""


def plan(current: runtime.Runtime, record: Record) -> Plan:
    """Raises SceneError for a result that may not be deleted now."""
    _require_deletable(current, record)
    copies: list[Path] = []
    changed: list[Path] = []
    users, folder = Users(()), folder_beside(bpy.data.filepath)
    if folder is not None and folder != current.animations.history.root and (folder / record.id).is_dir():
        own = OwnFiles(folder / record.id)
        copies = [own.folder / name for name in own.names()]
        changed = [own.folder / name for name in own.foreign((), ("frames", "mattes"))]
        if copies and not changed:
            copies.append(own.folder / REGISTER)
        users = users_beside(folder, record.id, Path(bpy.data.filepath))
    return Plan(
        record,
        tuple(current.animations.history.folder(record.id).files()),
        () if users else tuple(copies),
        users if copies else Users(()),
        tuple(changed),
        uses_of(record.id),
    )


def delete(current: runtime.Runtime, record: Record) -> Plan:
    """Move the result's files to the trash and take it out of the open file. Raises SceneError, FileProblem."""
    todo, folder = plan(current, record), folder_beside(bpy.data.filepath)
    files = {current.animations.history.root: todo.files}
    if folder is not None and todo.copies:
        files[folder] = todo.copies
    entry = Deleted(clips.title_of(record), files, Path(bpy.data.filepath) if bpy.data.filepath else None, thrown=False)
    current.animations.forget(record.id)
    _throw(record.id, entry)
    _deleted[record.id] = entry
    results.remove(record.id)
    forget_job(record.id)
    _mark(record.id)
    _look_again(record.id)
    return todo


def follow_undo() -> None:
    """After undo or redo: files of results that are no longer deleted come back, those deleted again go."""
    now = {item.name for scene in bpy.data.scenes for item in scene.magicanimate.deleted}
    for result, entry in _deleted.items():
        try:
            if entry.thrown and result not in now:
                _restore(result, entry)
                for image in results.sequence.images_of(result):
                    image.reload()
            elif not entry.thrown and result in now:
                _throw(result, entry)
        except FileProblem as problem:
            messages.tell(problem)
        _look_again(result)
    for result, title in _gone.items():
        if uses_of(result):
            messages.tell(
                Message(
                    f"“{title}” was deleted for good when the file was saved: its pictures are gone.",
                    "Redo (Ctrl Shift Z), or animate again.",
                )
            )


def is_deleted(result: str) -> bool:
    return result in _gone or (result in _deleted and _deleted[result].thrown)


def before_save() -> None:
    """The file on disk must not name what is deleted: other files would take it for a user."""
    for scene in _local_scenes():
        scene.magicanimate.deleted.clear()


def after_save(*, saved: bool) -> None:
    """saved: the open file itself was written, so what is deleted in it may go for good."""
    for result, entry in list(_deleted.items()):
        if not entry.thrown:
            continue
        if saved:
            _empty(result, entry)
            _gone[result] = entry.title
            del _deleted[result]
        else:
            _mark(result)


def close() -> None:
    """The file was closed: what its last saved version may show comes back, all else goes. Never raises."""
    for result, entry in _deleted.items():
        if not entry.thrown:
            continue
        if entry.blend is not None and entry.blend.exists() and mentions(entry.blend, result) is not False:
            try:
                _restore(result, entry)
            except FileProblem as problem:
                messages.tell(problem)
        else:
            _empty(result, entry)
    _deleted.clear()
    _gone.clear()


def recover_lost(root: Path) -> None:
    """Put back what a Blender that crashed had deleted without saving."""
    for folder in (root, folder_beside(bpy.data.filepath)):
        try:
            if folder is not None:
                recover(folder, is_alive)
        except FileProblem as problem:
            messages.tell(problem)


def _require_deletable(current: runtime.Runtime, record: Record) -> None:
    if not record.state.ended:
        raise SceneError("That animation is not finished.", "Wait for it, or cancel it first.")
    other = next(_other_uses(record.id), None)
    if other is not None:
        raise SceneError(f"“{other}” of this file shows that result, too.", "Remove it first, or let it show another.")
    own = Path(bpy.data.filepath) if bpy.data.filepath else None
    users = users_noted(current.animations.history.root, record.id, own)
    if users.files:
        raise SceneError(
            f"{_named(users.files)} shows that result's frames from the folder of results.",
            "Take it out there and save that file first.",
        )


def _other_uses(result: str) -> Iterator[str]:
    """Names of what shows the result's files but was not made by us: nothing would take it out."""
    images = ((image, image.filepath) for image in bpy.data.images)
    clips_ = ((clip, clip.filepath) for clip in bpy.data.movieclips)
    strips = (
        (s, getattr(s, "directory", getattr(s, "filepath", ""))) for sc in bpy.data.scenes for s in all_strips(sc)
    )
    for data, path in (*images, *clips_, *strips):
        if result in path and not is_tagged(data, result):
            yield data.name


def _throw(result: str, entry: Deleted) -> None:
    """All of it or nothing. Raises FileProblem."""
    done: list[Path] = []
    try:
        for root, files in entry.files.items():
            Trash(root).throw(path for path in files if path.exists())
            done.append(root)
    except FileProblem:
        for root in done:
            Trash(root).restore(result)
        raise
    entry.thrown = True


def _restore(result: str, entry: Deleted) -> None:
    for root in entry.files:
        Trash(root).restore(result)
    entry.thrown = False


def _empty(result: str, entry: Deleted) -> None:
    for root in entry.files:
        Trash(root).empty(result)


def _mark(result: str) -> None:
    """In all scenes, since one may be deleted before the next undo."""
    for scene in _local_scenes():
        if result not in scene.magicanimate.deleted:
            scene.magicanimate.deleted.add().name = result


def _local_scenes() -> Iterator[bpy.types.Scene]:
    return (scene for scene in bpy.data.scenes if scene.library is None)


def _look_again(result: str) -> None:
    thumbnails.forget(result)
    current = runtime.active()
    if current is not None:
        current.forget_records()


def _named(paths: Sequence[Path]) -> str:
    names = [path.name for path in paths[:NAMED]]
    return ", ".join(names) + (f" and {len(paths) - NAMED} more" if len(paths) > NAMED else "")


def register() -> None:
    atexit.register(close)


def unregister() -> None:
    atexit.unregister(close)
    close()
