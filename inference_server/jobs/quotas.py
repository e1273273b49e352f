"""How much of a shared server one person may take."""

import time
from uuid import UUID

from inference_server.errors import UserError
from inference_server.jobs.people import People, Person
from inference_server.jobs.retention import folder_bytes
from inference_server.jobs.service import JobService

FRESH = 10.0
"""Seconds for which a sum of results is used again."""


class Quotas:
    """Remembers the sizes of ended results, which do not change."""

    def __init__(self, service: JobService, people: People) -> None:
        self._service = service
        self._people = people
        self._ended: dict[UUID, int] = {}
        self._sums: dict[str, tuple[float, int]] = {}

    def check_job(self, person: Person, job: UUID) -> None:
        """Raises UserError `too-many-jobs`, `quota-exceeded`. A job that is there already may be sent again."""
        if person.admin or self._service.store.exists(job):
            return
        busy = [row for row in self._service.store.in_state("queued", "running") if row.owner == person.name]
        if len(busy) >= person.max_jobs:
            raise UserError(
                f"{len(busy)} jobs of yours are not done, and the server takes {person.max_jobs} of one person",
                fix="Wait for one, or cancel one.",
                code="too-many-jobs",
            )
        self.check_bytes(person)

    def check_bytes(self, person: Person) -> None:
        """Raises UserError `quota-exceeded`."""
        if person.admin:
            return
        used = self._results(person.name) + self._people.uploaded_bytes(person.name)
        if used > person.max_bytes:
            raise UserError(
                f"Your results and pictures take {used / 1e9:.1f} GB, more than {person.max_bytes / 1e9:.1f} GB",
                fix="Delete results that you no longer need.",
                code="quota-exceeded",
            )

    def _results(self, owner: str) -> int:
        now = time.monotonic()
        known = self._sums.get(owner)
        if known is not None and now - known[0] < FRESH:
            return known[1]
        total = 0
        for row in self._service.store.newest(10**9, owner=owner):
            size = self._ended.get(row.id) or folder_bytes(self._service.folder.job(row.id))
            if row.ended:
                self._ended[row.id] = size
            total += size
        self._sums[owner] = now, total
        return total
