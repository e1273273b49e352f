"""The log of what happened, from which every reader of events is served; bounded, whatever the number of jobs."""

import asyncio
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

EPOCH = 10**9
"""Ids of one run of the server start at a multiple of this, so that ids from an earlier run are told apart."""
MAX_FRAME_EVENTS = 50_000


@dataclass(frozen=True)
class Event:
    """`job` events say that a job changed: the reader is sent the job as it is then, so old ones need not be kept."""

    id: int
    kind: Literal["job", "frame", "removed"]
    job: UUID
    frame: int = 0


class EventLog:
    """Written by any thread, read by any number of asyncio readers of one loop."""

    def __init__(self, run: int) -> None:
        self._lock = threading.Lock()
        self._first = run * EPOCH
        self._last = self._first
        self._floor = self._first
        self._jobs: OrderedDict[UUID, int] = OrderedDict()
        self._moments: deque[Event] = deque()
        self._readers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self.closed = False

    @property
    def last(self) -> int:
        with self._lock:
            return self._last

    def job_changed(self, job: UUID) -> None:
        with self._lock:
            self._last += 1
            self._jobs[job] = self._last
            self._jobs.move_to_end(job)
        self._wake()

    def frame_ready(self, job: UUID, frame: int) -> None:
        self._add("frame", job, frame)

    def job_removed(self, job: UUID) -> None:
        with self._lock:
            self._jobs.pop(job, None)
        self._add("removed", job)

    def close(self) -> None:
        """End all readers."""
        self.closed = True
        self._wake()

    def since(self, last_id: int, job: UUID | None = None) -> list[Event] | None:
        """Events after `last_id`, of one job or of all; None if that id is of another run or too old to tell."""
        with self._lock:
            if not self._floor <= last_id <= self._last:
                return None
            found: list[Event] = []
            for name, number in reversed(self._jobs.items()):
                if number <= last_id:
                    break
                if job is None or name == job:
                    found.append(Event(number, "job", name))
            for event in reversed(self._moments):
                if event.id <= last_id:
                    break
                if job is None or event.job == job:
                    found.append(event)
        return sorted(found, key=lambda event: event.id)

    def subscribe(self) -> "Subscription":
        return Subscription(self._readers)

    def _add(self, kind: Literal["frame", "removed"], job: UUID, frame: int = 0) -> None:
        with self._lock:
            self._last += 1
            self._moments.append(Event(self._last, kind, job, frame))
            while len(self._moments) > MAX_FRAME_EVENTS:
                self._floor = self._moments.popleft().id
        self._wake()

    def _wake(self) -> None:
        for loop, event in list(self._readers):
            try:
                loop.call_soon_threadsafe(event.set)
            except RuntimeError:  # that loop has ended
                self._readers.discard((loop, event))


class Subscription:
    """`async with`: then `wait` returns as soon as something is logged, or after `timeout` seconds with False."""

    def __init__(self, readers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
        self._readers = readers

    async def __aenter__(self) -> "Subscription":
        self._event = asyncio.Event()
        self._entry = (asyncio.get_running_loop(), self._event)
        self._readers.add(self._entry)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._readers.discard(self._entry)

    async def wait(self, timeout: float) -> bool:
        try:
            await asyncio.wait_for(self._event.wait(), timeout)
        except TimeoutError:
            return False
        self._event.clear()
        return True
