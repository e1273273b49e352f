"""A job's events in a queue, from a thread that connects again by itself."""

import json
import queue
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from .connection import Connection, Stream
from .errors import BadAnswer, ClientError, ServerProblem
from .model import Job, parse
from .sse import EventParser, ServerSentEvent

SILENCE = 45.0
"""Seconds without even a heartbeat after which a connection counts as dead."""
PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds to wait before the first, second ... try to connect again."""


@dataclass(frozen=True)
class JobChanged:
    job: Job


@dataclass(frozen=True)
class FrameReady:
    """Frame `frame` (from 0) of the job is decoded and can be fetched."""

    id: str
    frame: int


@dataclass(frozen=True)
class JobRemoved:
    id: str


@dataclass(frozen=True)
class StreamLost:
    """The connection broke, for `error`; if `final` the stream has given up, else it tries again."""

    error: ClientError
    final: bool = False


JobEvent = JobChanged | FrameReady | JobRemoved | StreamLost


class EventStream:
    """Reads `path` until closed and puts what comes into `events`. Nothing is lost over reconnects (Last-Event-ID)."""

    def __init__(self, connection: Connection, path: str) -> None:
        self.events: queue.SimpleQueue[JobEvent] = queue.SimpleQueue()
        self._connection = connection
        self._path = path
        self._closing = threading.Event()
        self._stream: Stream | None = None
        self._last_id = ""
        self._thread = threading.Thread(target=self._run, name="magicanimate events", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the thread; returns within a second or so, even if the server is silent."""
        self._closing.set()
        if self._stream is not None:
            self._stream.abort()
        self._thread.join(2.0)

    def _run(self) -> None:
        failures = 0
        while not self._closing.is_set():
            try:
                if self._read():
                    failures = 0
            except (ServerProblem, BadAnswer) as error:
                self.events.put(StreamLost(error, final=True))
                return
            except ClientError as error:
                if not self._closing.is_set():
                    self.events.put(StreamLost(error))
            self._closing.wait(PAUSES[min(failures, len(PAUSES) - 1)])
            failures += 1

    def _read(self) -> bool:
        """One connection to its end. True if an event came."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        parser, any_event = EventParser(), False
        parser.last_id = self._last_id
        with self._connection.stream("GET", self._path, headers=headers, timeout=SILENCE) as stream:
            if not stream.headers.get("content-type", "").startswith("text/event-stream"):
                raise BadAnswer(f"{self._connection.url} sends no events")
            self._stream = stream
            while not self._closing.is_set() and (chunk := stream.read_soon(65536)):
                for event in parser.feed(chunk):
                    self._last_id = event.id
                    any_event = True
                    if (known := understand(event)) is not None:
                        self.events.put(known)
        return any_event


def understand(event: ServerSentEvent) -> JobEvent | None:
    """The typed event; None for kinds that a later server may add. Raises BadAnswer for what is no JSON of ours."""
    try:
        if event.name == "job":
            return JobChanged(parse(Job, json.loads(event.data)))
        if event.name == "frame":
            value = json.loads(event.data)
            return FrameReady(str(value["id"]), int(value["frame"]))
        if event.name == "removed":
            return JobRemoved(str(json.loads(event.data)["id"]))
    except (ValueError, KeyError, TypeError) as error:
        raise BadAnswer(f"The server sent an event that is not understood: {event.data[:60]!r}") from error
    return None
