"""Which files of a folder are ours: only those are ever replaced or deleted.

A register in the folder, REGISTER, lists each file that we wrote there with its size, time and SHA-256. A file that is
not listed, or was changed since (retouched, say), belongs to the person.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ..client import FileProblem
from ..client.files import file_problem, part_path, write_atomic

REGISTER = ".magicanimate.json"
FORMAT = 1
UNFINISHED = re.compile(r"\.(.+)\.[0-9a-f]{8}\.part")
"""The names that `part_path` gives."""


class Entry(NamedTuple):
    """size in bytes, time of the last change in ns, sha256 of the contents."""

    size: int
    time: int
    sha256: str


class OwnFiles:
    """The files in `folder` that we wrote. Names are relative to it, with slashes. For one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._entries = _read(folder / REGISTER)

    def names(self) -> list[str]:
        """What the register lists and is still there as we wrote it."""
        return [name for name in self._entries if self.is_ours(name)]

    def is_ours(self, name: str) -> bool:
        """Whether the file is there, and is the one that we wrote."""
        entry, path = self._entries.get(name), self.folder / name
        try:
            if entry is None or not path.is_file():
                return False
            now = path.stat()
            return now.st_size == entry.size and (now.st_mtime_ns == entry.time or _sha256(path) == entry.sha256)
        except OSError:
            return False

    def foreign(self, wanted: Iterable[str], folders: Iterable[str] = ()) -> list[str]:
        """Files that are not ours: those of the `wanted` names, and everything in `folders`."""
        present = [name for name in wanted if os.path.lexists(self.folder / name)]
        for folder in folders:
            present += [path.relative_to(self.folder).as_posix() for path in _files_in(self.folder / folder)]
        return sorted({name for name in present if not self.is_ours(name) and not self._is_unfinished(name)})

    def require(self, wanted: Iterable[str], folders: Iterable[str] = ()) -> None:
        """Raises FileProblem `foreign-file` if something that is not ours would be replaced."""
        if self.folder.exists() and not self.folder.is_dir():
            raise FileProblem(f"{self.folder} is a file", fix="Choose another folder.", code="foreign-file")
        foreign = self.foreign(wanted, folders)
        if foreign:
            others = f" and {len(foreign) - 1} other files" if len(foreign) > 1 else ""
            raise FileProblem(
                f"{self.folder / foreign[0]}{others} would be replaced, but MagicAnimate did not write it, "
                "or it was changed since",
                fix="Choose another folder, or move that away.",
                code="foreign-file",
            )

    def add(self, files: Mapping[str, Path]) -> list[str]:
        """Copy files into the folder under the given names, each whole or not at all, as ours. What is there stays.

        Returns the names of files that stayed and differ from what was to be copied. Raises FileProblem.
        """
        there = [name for name in files if os.path.lexists(self.folder / name)]
        missing = {name: source for name, source in files.items() if name not in there}
        try:
            # Noted first: copies that are cut short are still known as ours.
            self._entries.update((name, _entry(source)) for name, source in missing.items())
            self._save()
            for name, source in missing.items():
                _copy(source, self.folder / name)
            return [name for name in there if not _same(files[name], self.folder / name)]
        except OSError as error:
            raise file_problem(self.folder, error) from error

    def note(self, names: Iterable[str]) -> None:
        """Files of these names were just written for us. Raises FileProblem."""
        try:
            self._entries.update((name, _entry(self.folder / name)) for name in names)
        except OSError as error:
            raise file_problem(self.folder, error) from error
        self._save()

    def delete(self, names: Iterable[str]) -> None:
        """Delete those that are ours, and folders that are empty then. Raises FileProblem."""
        ours = [name for name in names if self.is_ours(name)]
        try:
            for name in ours:
                (self.folder / name).unlink()
                del self._entries[name]
        except OSError as error:
            raise file_problem(self.folder, error) from error
        finally:
            self._save()
        remove_empty(self.folder, ours)

    def _is_unfinished(self, name: str) -> bool:
        """Whether it is the beginning of a copy of ours that was cut short."""
        path = PurePosixPath(name)
        found = UNFINISHED.fullmatch(path.name)
        return found is not None and str(path.with_name(found[1])) in self._entries

    def _save(self) -> None:
        if self._entries or (self.folder / REGISTER).exists():
            value = {"format": FORMAT, "files": self._entries}
            write_atomic(self.folder / REGISTER, json.dumps(value, indent=0).encode())


def replace_files(own: OwnFiles, files: Mapping[str, Path], folders: Iterable[str]) -> None:
    """Make `files` (name -> source) what the folder and its `folders` hold of ours; earlier ones of ours go.

    Raises FileProblem, `foreign-file` before anything is changed.
    """
    own.require(files, folders)
    own.delete([name for name in own.names() if name in files or name.split("/")[0] in folders])
    own.add(files)


def remove_empty(folder: Path, names: Iterable[str]) -> None:
    """Remove the folders, below `folder`, in which files of these names were, if nothing is left in them."""
    for parent in {PurePosixPath(name).parent for name in names} - {PurePosixPath(".")}:
        with contextlib.suppress(OSError):
            (folder / parent).rmdir()


def _read(path: Path) -> dict[str, Entry]:
    """Nothing is ours where the register is missing or damaged."""
    try:
        value = json.loads(path.read_bytes())
        if value["format"] != FORMAT:
            return {}
        entries = {str(name): Entry(int(e[0]), int(e[1]), str(e[2])) for name, e in value["files"].items()}
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return {}
    return {name: entry for name, entry in entries.items() if _is_inside(name)}


def _is_inside(name: str) -> bool:
    """Whether a name from a register leads nowhere but into its folder."""
    return not (PurePosixPath(name).is_absolute() or {"..", ""} & set(name.split("/")) or re.search(r"[\\:]", name))


def _files_in(folder: Path) -> Iterator[Path]:
    """Everything but folders, however deep; links are not followed. A file in the folder's place counts, too."""
    if folder.is_dir():
        for parent, folders, files in os.walk(folder):
            links = [name for name in folders if Path(parent, name).is_symlink()]
            yield from (Path(parent, name) for name in (*files, *links))
    elif os.path.lexists(folder):
        yield folder


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = part_path(target)
    try:
        shutil.copy2(source, part)
        os.replace(part, target)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _same(one: Path, other: Path) -> bool:
    if not other.is_file() or one.stat().st_size != other.stat().st_size:
        return False
    return one.stat().st_mtime_ns == other.stat().st_mtime_ns or _sha256(one) == _sha256(other)


def _entry(path: Path) -> Entry:
    now = path.stat()
    return Entry(now.st_size, now.st_mtime_ns, _sha256(path))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
