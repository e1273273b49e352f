"""Hashes of weight files, taken once and compared later: has anything been changed, or gone bad on disk?"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from inference_server.media.files import write_bytes

NAME = "manifest.json"
CHUNK = 8 * 2**20


@dataclass(frozen=True)
class FileState:
    """size in bytes; modified: time of last change in ns; sha256 in hex; source: where it was fetched from, empty for
    a user's own file; original: sha256 of the file that it was converted from."""

    size: int
    modified: int
    sha256: str
    source: str = ""
    original: str = ""

    def fits(self, path: Path) -> bool:
        """Whether the file still has this size and time; cheap, so asked often."""
        try:
            info = path.stat()
        except OSError:
            return False
        return (info.st_size, info.st_mtime_ns) == (self.size, self.modified)


class Manifest:
    """`manifest.json` in a tree. files: relative path -> FileState. checked: the tensors were found to fit."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree
        self.files: dict[str, FileState] = {}
        self.checked = False
        try:
            content = json.loads((tree / NAME).read_text(encoding="utf-8"))
            self.files = {path: FileState(**state) for path, state in content["files"].items()}
            self.checked = content["checked"] is True
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            self.files = {}  # none yet; a damaged one is taken anew

    def record(
        self, path: Path, sha256: str, source: str = "", original: str = "", *, content: Path | None = None
    ) -> None:
        """content: the file that is about to become `path`, if it is not there yet."""
        info = (content or path).stat()
        relative = path.relative_to(self._tree).as_posix()
        self.files[relative] = FileState(info.st_size, info.st_mtime_ns, sha256, source, original)
        self.save(checked=False)

    def forget(self, path: Path) -> None:
        """The file is no longer part of the tree."""
        if self.files.pop(path.relative_to(self._tree).as_posix(), None) is not None:
            self.save(checked=False)

    def save(self, *, checked: bool) -> None:
        self.checked = checked
        files = {path: asdict(state) for path, state in sorted(self.files.items())}
        write_bytes(self._tree / NAME, json.dumps({"checked": checked, "files": files}, indent=1).encode())

    def state_of(self, path: Path) -> FileState | None:
        return self.files.get(path.relative_to(self._tree).as_posix())


def hash_file(path: Path, on_bytes: Callable[[int], None] = lambda _count: None) -> str:
    """Hex SHA-256; `on_bytes` is told how many bytes were read since the last call."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
            on_bytes(len(chunk))
    return found.hexdigest()


SUFFIXES = (".safetensors", ".ckpt", ".bin", ".json", ".txt")
"""Files of a tree that decide what its networks compute: weights, their configs, the tokenizer's words."""


def tree_hash(tree: Path) -> str:
    """One hash of a whole tree: two results are of the same networks only if it is the same.

    By the manifest, so that nothing large is read; a file that it does not know as it is, is hashed once per process.
    """
    files = [
        path
        for path in sorted(tree.rglob("*"))
        if path.suffix in SUFFIXES and path.name != NAME and path.is_file() and not _is_hidden(path.relative_to(tree))
    ]
    listed = "".join(f"{digest}  {name}\n" for name, digest in file_hashes(tree, files).items())
    return hashlib.sha256(listed.encode()).hexdigest()


def file_hashes(tree: Path, files: Iterable[Path]) -> dict[str, str]:
    """Relative path -> hex SHA-256, the manifest's where the file still is as recorded."""
    manifest = Manifest(tree)
    return {path.relative_to(tree).as_posix(): _hash_of(manifest.state_of(path), path) for path in files}


def _hash_of(state: FileState | None, path: Path) -> str:
    if state is not None and state.fits(path):
        return state.sha256
    info = path.stat()
    return _hash_once(path, info.st_size, info.st_mtime_ns)


@lru_cache(maxsize=1000)
def _hash_once(path: Path, _size: int, _modified: int) -> str:
    return hash_file(path)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
