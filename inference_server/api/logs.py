"""Logs: readable lines on the console, one JSON object a line in the data folder's logs/server.log."""

import json
import logging
import logging.handlers
from datetime import UTC, datetime
from pathlib import Path

FILE_BYTES = 5 * 2**20
FILES = 3


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


def set_up(folder: Path, *, verbose: bool = False) -> None:
    """Log everything from this program to both; of libraries, warnings and worse."""
    console = logging.StreamHandler()
    console.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    file = logging.handlers.RotatingFileHandler(
        folder / "server.log", maxBytes=FILE_BYTES, backupCount=FILES, encoding="utf-8", delay=True
    )
    file.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[console, file], force=True)
    logging.getLogger("inference_server").setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.raiseExceptions = False  # a full disk must not fill the console with logging's own errors
