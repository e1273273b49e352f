"""logs/audit.log: who did what and when, one JSON object a line. What only reads is not in it."""

import json
import logging
import logging.handlers
from datetime import UTC, datetime
from pathlib import Path

from inference_server.api.logs import shown_path
from inference_server.jobs.people import Person

FILE_BYTES = 10 * 2**20
FILES = 20


class Audit:
    def __init__(self, folder: Path) -> None:
        self._file = logging.handlers.RotatingFileHandler(
            folder / "audit.log", maxBytes=FILE_BYTES, backupCount=FILES, encoding="utf-8", delay=True
        )

    def request(self, person: Person, address: str, method: str, path: str, status: int) -> None:
        self.write(person, f"{method} {shown_path(path)}", address=address, status=status)

    def write(self, person: Person, what: str, **details: object) -> None:
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "who": person.shown, "what": what}
        record = logging.LogRecord("audit", logging.INFO, "", 0, json.dumps({**line, **details}), None, None)
        self._file.handle(record)

    def close(self) -> None:
        self._file.close()
