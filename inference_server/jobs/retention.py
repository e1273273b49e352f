"""Old results make room for new ones: by age and by total size, oldest first, never pinned ones.

Age is judged only while the clock is believed (trust.py); size does not need a clock.
"""

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from inference_server.errors import UserError
from inference_server.jobs.service import JobService
from inference_server.jobs.store import Brief
from inference_server.jobs.trust import DAY, ClockTrust, Doubt

BLOB_GRACE = DAY
"""Seconds that an uploaded input waits for a job that names it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Keep:
    """Results younger than `days`, and no more than `bytes` in all."""

    days: float = 30.0
    bytes: int = 50 * 10**9


class CleanUp:
    """Remembers the sizes of ended results, which do not change."""

    def __init__(self, service: JobService, keep: Keep) -> None:
        self._service = service
        self._keep = keep
        self._sizes: dict[UUID, int] = {}
        self._trust = ClockTrust(service.store, service.clock)

    def run(self) -> None:
        """Delete what is beyond the limits, then inputs that no job names any more."""
        self._service.folder.keep_reserve()
        self._service.folder.clear_deleted()
        service, now = self._service, self._service.clock.now()
        by_age, doubt = self._trust.ask()
        ended = sorted(service.store.in_state("done", "failed", "cancelled"), key=lambda record: record.number)
        self._sizes = {
            record.id: self._sizes.get(record.id) or folder_bytes(service.folder.job(record.id)) for record in ended
        }
        total = sum(self._sizes.values())
        kept_by_doubt, inputs = 0, set[str]()
        for record in ended:
            too_old = self._too_old(record, now)
            kept_by_doubt += too_old and not record.pinned
            if record.pinned or not ((too_old and by_age) or total > self._keep.bytes):
                continue
            with contextlib.suppress(UserError):  # the base of a waiting job stays
                inputs |= service.delete(record.id)
                total -= self._sizes.pop(record.id)
                log.info("job %s was deleted by clean-up (%s)", record.id, "age" if too_old else "size")
        service.erase_inputs(inputs)
        self._tell(doubt, kept_by_doubt)
        if by_age:
            # Files carry the computer's time, which may have been set back since the server started.
            limit = min(now, time.time()) - BLOB_GRACE
            unused = service.blobs.remove_unused(service.store.used_blobs(), limit)
            service.store.forget_inputs(unused)

    def _too_old(self, record: Brief, now: float) -> bool:
        return record.finished_at is not None and now - record.finished_at > self._keep.days * DAY

    def _tell(self, doubt: Doubt | None, results: int) -> None:
        if doubt is None or not results:
            self._service.notices.drop("clock-jumped")
            return
        count = "1 result now looks" if results == 1 else f"{results} results now look"
        self._service.notices.put(
            "clock-jumped",
            f"The computer's clock went {doubt.jumped / DAY:.0f} days forward since the server ran last: {count} "
            f"older than {self._keep.days:g} days. The server deletes nothing by age for the next "
            f"{doubt.left / DAY:.1f} days that it runs",
            "If the date is wrong, correct it and start the server again; pin the results that you want to keep.",
        )


def folder_bytes(folder: Path) -> int:
    """Bytes on disk; a frame that is shared with another result counts for its share."""
    return int(sum(size / links for size, links in _files(folder)))


def _files(folder: Path) -> Iterator[tuple[int, int]]:
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                info = os.lstat(os.path.join(place, name))
                yield info.st_size, max(info.st_nlink, 1)
