"""Files that are whole or not there at all."""

import contextlib
import errno
import hashlib
import os
import uuid
from pathlib import Path

from .errors import FileProblem

DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


def sha256(data: bytes) -> str:
    """The content address of `data`: lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def write_atomic(path: Path, data: bytes) -> None:
    """Write beside `path`, then rename, so that a reader never sees half a file. Raises FileProblem."""
    part = part_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise file_problem(path, error) from error


def part_path(path: Path) -> Path:
    """A name of its own for the unfinished file, so that two writers never share one."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")


def file_problem(path: Path, error: OSError) -> FileProblem:
    """Say what the system's error means for the person who reads it."""
    if error.errno in DISK_FULL:
        return FileProblem(
            f"The disk is full: {path.name} does not fit into {path.parent}",
            fix="Free some space or choose another results folder, then try again.",
            code="disk-full",
        )
    if isinstance(error, PermissionError):
        return FileProblem(
            f"{path} may not be written or read", fix="Choose a folder that belongs to you.", code="no-permission"
        )
    return FileProblem(
        f"{path} can't be used: {error.strerror or error}", fix="Choose another folder.", code="file-problem"
    )
