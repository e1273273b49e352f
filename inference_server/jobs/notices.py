"""What the artist should know about the server: a sentence and a way out each, shown in the panel until it is over."""

import logging
import threading

from inference_server.jobs.model import Notice

log = logging.getLogger(__name__)


class Notices:
    """By code, one of each. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._notices: dict[str, Notice] = {}

    def put(self, code: str, detail: str, fix: str) -> None:
        notice = Notice(code=code, detail=detail, fix=fix)
        with self._lock:
            known = self._notices.get(code)
            self._notices[code] = notice
        if known is None:
            log.warning("%s: %s %s", code, detail, fix)

    def drop(self, code: str) -> None:
        with self._lock:
            self._notices.pop(code, None)

    def all(self) -> list[Notice]:
        with self._lock:
            return list(self._notices.values())
