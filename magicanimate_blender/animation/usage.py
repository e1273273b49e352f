"""Which .blend files show which results: nothing that another file shows may be deleted.

A register in the folder that holds the results notes what each .blend showed when it was last saved. A file that was
saved since without us is read: uncompressed and gzip files are searched for the result's id, others can't be told.
"""

import gzip
import json
import os
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from ..client import write_atomic

REGISTER = ".blend_files.json"
FORMAT = 1
SECONDS = 2.0
"""How long other files are looked for; Blender waits meanwhile."""
CLOCK = 2.0
"""Seconds by which a file's time may be off after it was copied to another disk."""
CHUNK = 1 << 22
OPENERS: Mapping[bytes, Callable[[Path, Literal["rb"]], IO[bytes] | gzip.GzipFile]] = {
    b"BLENDER": Path.open,
    b"\x1f\x8b": gzip.open,
}
"""By the first bytes of a .blend. Blender 3.0 and later compress with Zstandard, which Python 3.13 can't read."""


class Users(NamedTuple):
    """.blend files that show a result, or may. complete: False if there was no time to look at all files."""

    files: tuple[Path, ...]
    complete: bool = True

    def __bool__(self) -> bool:
        return bool(self.files) or not self.complete


class Usage:
    """The register in `folder`, which lies beside .blend files or holds all results."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = _read(folder / REGISTER)

    def note(self, blend: Path, results: Iterable[str]) -> None:
        """The file was just saved, showing these results and no others. Raises FileProblem, OSError."""
        now, key = blend.stat(), self._key(blend)
        if key in self._files:  # that version is the backup now, if there is one
            self._files[f"{key}1"] = self._files[key]
        self._files[key] = {"size": now.st_size, "time": now.st_mtime, "results": sorted(set(results))}
        write_atomic(self.folder / REGISTER, json.dumps({"format": FORMAT, "files": self._files}, indent=1).encode())

    def shows(self, blend: Path, result: str) -> bool | None:
        """Whether the file showed the result when it was saved; None if it was not noted then."""
        entry = self._files.get(self._key(blend))
        try:
            now = blend.stat()
            if entry is None or now.st_size != entry["size"] or abs(now.st_mtime - entry["time"]) > CLOCK:
                return None
            return result in entry["results"]
        except (OSError, KeyError, TypeError):
            return None

    def files(self, result: str | None = None) -> list[Path]:
        """Files that were noted, showing `result` if one is given, and are still there."""
        keys = [key for key, entry in self._files.items() if result is None or result in entry.get("results", ())]
        return [path for path in (self.folder.parent / key for key in keys) if path.is_file()]

    def _key(self, blend: Path) -> str:
        """Relative to where the folder lies, so that both can be moved together; else absolute."""
        home = self.folder.parent
        return blend.relative_to(home).as_posix() if blend.is_relative_to(home) else blend.as_posix()


def users_beside(folder: Path, result: str, own: Path) -> Users:
    """Files other than `own` that may show the copy of a result in `folder`: in its parent or below it, or noted."""
    until, usage = time.monotonic() + SECONDS, Usage(folder)
    looked_at: dict[Path, bool] = {}
    for blends in chain([usage.files()], _blends_below(folder.parent)):
        for blend in blends:
            if blend not in looked_at and not _is_or_backs_up(blend, own):
                looked_at[blend] = _may_show(blend, result, (usage, Usage(blend.parent / folder.name)), until)
        if time.monotonic() > until:
            break
    else:
        return Users(_true(looked_at))
    return Users(_true(looked_at), complete=False)


def users_noted(folder: Path, result: str, own: Path | None) -> Users:
    """Files other than `own` that showed a result from `folder` when they were saved, and may still."""
    until, usage = time.monotonic() + SECONDS, Usage(folder)
    others = (blend for blend in usage.files(result) if own is None or not _is_or_backs_up(blend, own))
    return Users(tuple(blend for blend in others if _may_show(blend, result, (usage,), until)))


def _may_show(blend: Path, result: str, registers: Iterable[Usage], until: float) -> bool:
    for register in registers:
        if (shows := register.shows(blend, result)) is not None:
            return shows
    paths = (f"{result}/", f"{result}\\")  # an id alone may also be that of a job that the file does not show
    return any(mentions(blend, path, until) is not False for path in paths)


def _true(looked_at: Mapping[Path, bool]) -> tuple[Path, ...]:
    return tuple(blend for blend, shows in looked_at.items() if shows)


def mentions(blend: Path, text: str, until: float | None = None) -> bool | None:
    """Whether a .blend holds a text, a result's id say. None: it can't be told, or not before the time `until`."""
    needle = text.encode()
    try:
        with blend.open("rb") as file:
            begin = file.read(7)
        opener = next((opener for magic, opener in OPENERS.items() if begin.startswith(magic)), None)
        if opener is None:
            return None
        with opener(blend, "rb") as file:
            seen = b""
            while chunk := file.read(CHUNK):
                seen = seen[-len(needle) :] + chunk
                if needle in seen:
                    return True
                if until is not None and time.monotonic() > until:
                    return None
    except (OSError, EOFError, zlib.error):
        return None
    return False


def _blends_below(home: Path) -> Iterator[list[Path]]:
    """Folder by folder; numbered backups, as shot.blend1, too."""
    for parent, _, names in os.walk(home):
        yield [Path(parent, name) for name in names if re.search(r"\.blend\d*$", name)]


def _is_or_backs_up(blend: Path, own: Path) -> bool:
    return blend.parent == own.parent and re.fullmatch(re.escape(own.name) + r"\d*", blend.name) is not None


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        value = json.loads(path.read_bytes())
        if value["format"] == FORMAT:
            return {str(key): dict(entry) for key, entry in value["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return {}
