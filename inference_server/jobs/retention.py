"""Old results make room for new ones: by age and by total size, oldest first, never pinned ones."""

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from inference_server.errors import UserError
from inference_server.jobs.service import JobService

DAY = 86400.0
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

    def run(self) -> None:
        """Delete what is beyond the limits, then inputs that no job names any more."""
        service, now = self._service, self._service.clock.now()
        ended = sorted(service.store.in_state("done", "failed", "cancelled"), key=lambda record: record.number)
        self._sizes = {
            record.id: self._sizes.get(record.id) or folder_bytes(service.folder.job(record.id)) for record in ended
        }
        total = sum(self._sizes.values())
        for record in ended:
            too_old = now - (record.finished_at or now) > self._keep.days * DAY
            if record.pinned or not (too_old or total > self._keep.bytes):
                continue
            with contextlib.suppress(UserError):  # the base of a waiting job stays
                service.delete(record)
                total -= self._sizes.pop(record.id)
                log.info("job %s was deleted by clean-up (%s)", record.id, "age" if too_old else "size")
        unused = service.blobs.remove_unused(service.store.used_blobs(), now - BLOB_GRACE)
        service.store.forget_maps(unused)


def folder_bytes(folder: Path) -> int:
    """Bytes on disk; a frame that is shared with another result counts for its share."""
    return int(sum(size / links for size, links in _files(folder)))


def _files(folder: Path) -> Iterator[tuple[int, int]]:
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                info = os.lstat(os.path.join(place, name))
                yield info.st_size, max(info.st_nlink, 1)
