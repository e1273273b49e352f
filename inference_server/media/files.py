"""Files that are either whole or not there, and outlive a power cut where that is asked for."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a new empty file beside `path` to write to; it takes `path`'s name if the block succeeds and goes if not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write atomically. Raises OSError, for example when the disk is full; `path` is then as it was."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_durably(path: Path, data: bytes) -> None:
    """As `write_bytes`; on return the file outlives a power cut, under its name."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)
        sync(temporary)
    sync(path.parent)


def sync_tree(folder: Path) -> None:
    """Have the system write every file below `folder`, and the names of all, to the disk. Raises OSError."""
    for place, _, names in os.walk(folder):
        for name in names:
            sync(Path(place, name))
        sync(Path(place))


def sync(path: Path) -> None:
    """fsync of a file or, where the system knows that, of a folder. Raises OSError."""
    if path.is_dir() and os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
