"""Which Blender looks after a job: the one that holds the lock on a file in the job's folder.

The system lets go of a lock when its process ends, however it ends, so a job without an owner is one that may be taken
over. Where a file system has no locks, as some network drives, every Blender may.
"""

import contextlib
import errno
import json
import os
import socket
import sys
from pathlib import Path

_HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}

if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        os.lseek(file, 1 << 30, os.SEEK_SET)  # far behind the text, which others could not read else
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)
else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Owner:
    """This process's hold on a job. path: the file, made if missing; its folder too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def take(self) -> bool:
        """Hold the job, if nobody else does; whether it may be looked after here."""
        if self._file is not None:
            return True
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:  # whoever writes into that folder next tells of it
            return True
        try:
            _lock(file)
        except OSError as error:
            os.close(file)
            return error.errno not in _HELD
        self._file = file
        with contextlib.suppress(OSError):
            os.ftruncate(file, 0)
            os.write(file, json.dumps({"process": os.getpid(), "computer": socket.gethostname()}).encode())
        return True

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def holder(self) -> str:
        """Who holds it, in words."""
        try:
            told = json.loads(self._path.read_bytes())
            return f"process {told['process']} on {told['computer']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"
