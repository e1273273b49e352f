"""Logs: readable lines on the console, one JSON object a line in the data folder's logs/server.log.

Strangers can make the server log something, but neither much (`Sparse`) nor anything that looks like another line
(`printable`, and JSON in the file).
"""

import contextlib
import json
import logging
import logging.handlers
import os
import stat
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

FILE_BYTES = 5 * 2**20
FILES = 3
CONSOLE_LIMIT = "MAGICANIMATE_CONSOLE_LIMIT"
"""Environment variable: bytes after which a console that is a file is begun anew. Set by whoever redirects it."""
STRANGERS_LOGGERS = ("inference_server.api.security", "uvicorn.error", "asyncio")
"""Where a line may be caused by a request without a token."""
PATH_SHOWN = 120


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class ConsoleLines(logging.Formatter):
    """One line a message, whatever is in it; a traceback follows as it is."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = printable(record.message)
        return super().formatMessage(record)


class Console(logging.StreamHandler[TextIO]):
    """Standard error. Where that is a file, and `limit` is not 0, it is emptied when it has more than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(sys.stderr)
        self._limit = limit if limit > 0 and _is_file(sys.stderr) else 0

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        if self._limit:
            with contextlib.suppress(OSError):
                file = self.stream.fileno()
                if os.fstat(file).st_size > self._limit:
                    os.ftruncate(file, 0)
                    os.lseek(file, 0, os.SEEK_SET)


class Sparse(logging.Filter):
    """Of each kind of record, lets `burst` through in `seconds`; the next one tells how many were left out.

    A kind is a message before its arguments are put in, so a stranger cannot make new ones.
    """

    def __init__(self, burst: int = 10, seconds: float = 60.0) -> None:
        super().__init__()
        self._burst = burst
        self._seconds = seconds
        self._kinds: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind, now = str(record.msg)[:40], time.monotonic()
        begin, count = self._kinds.get(kind, (now, 0))
        left_out = 0
        if now - begin >= self._seconds:
            left_out, begin, count = max(0, count - self._burst), now, 0
        self._kinds[kind] = begin, count + 1
        if left_out:
            record.msg, record.args = f"{record.getMessage()} ({left_out:,} more like it were not logged)", ()
        return count < self._burst


def printable(text: str) -> str:
    """`text` without characters that move a terminal's cursor, begin a line or turn the direction of reading."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def shown_path(path: str) -> str:
    """A request's path as it may stand in a log: escaped and cut."""
    shown = ascii(path[:PATH_SHOWN])[1:-1]
    return shown[:PATH_SHOWN] + ("..." if len(path) > PATH_SHOWN or len(shown) > PATH_SHOWN else "")


def set_up(folder: Path, *, verbose: bool = False) -> None:
    """Log everything from this program to both; of libraries, warnings and worse."""
    limit = os.environ.get(CONSOLE_LIMIT, "")
    console = Console(int(limit) if limit.isascii() and limit.isdigit() else 0)
    console.setFormatter(ConsoleLines("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    file = logging.handlers.RotatingFileHandler(
        folder / "server.log", maxBytes=FILE_BYTES, backupCount=FILES, encoding="utf-8", delay=True
    )
    file.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[console, file], force=True)
    logging.getLogger("inference_server").setLevel(logging.DEBUG if verbose else logging.INFO)
    for name in STRANGERS_LOGGERS:
        logging.getLogger(name).addFilter(Sparse())
    logging.raiseExceptions = False  # a full disk must not fill the console with logging's own errors


def _is_file(stream: TextIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False
