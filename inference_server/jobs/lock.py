"""One process at a time: a lock on a file that the system lets go when its holder dies, however it dies."""

import contextlib
import os
from pathlib import Path

from filelock import FileLock, Timeout


class ProcessLock:
    """A lock on `path`, and beside it, in `path`.pid, the process id of whoever has it or had it last."""

    def __init__(self, path: Path) -> None:
        # Never a "soft" lock, which is a file that outlives its holder. Another thread may release it.
        self._lock = FileLock(path, thread_local=False, fallback_to_soft=False, preserve_lock_file=True)
        self._pid = path.with_name(f"{path.name}.pid")

    def acquire(self, wait: float = 0.0) -> bool:
        """Try for `wait` seconds. Raises OSError where the file cannot be made."""
        try:
            self._lock.acquire(timeout=wait)
        except Timeout:
            return False
        with contextlib.suppress(OSError):  # on a full disk it is empty, and names nobody
            self._pid.write_text(str(os.getpid()), encoding="ascii")
        return True

    def holder(self) -> int | None:
        """The process id that was written down; true only while `acquire` fails."""
        try:
            return int(self._pid.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def release(self) -> None:
        self._lock.release()
