"""What the thread of a job does: everything that waits for a disk or a socket."""

import contextlib
import logging
import queue
import threading
import time

from ..client import (
    Client,
    ClientError,
    EventStream,
    FrameReady,
    Job,
    JobChanged,
    JobEvent,
    JobRemoved,
    Problem,
    ServerUnreachable,
    StreamLost,
    write_atomic,
)
from .changes import Full, redo_only_settings, what_changed
from .drawn_maps import DrawnMaps
from .fetching import Fetching
from .preflight import Preflight
from .record import Record, ResultFolder
from .server_source import ServerSource
from .states import State
from .status import Status
from .transfer import upload_inputs

log = logging.getLogger(__name__)
TICK = 0.1
"""Seconds between looks at whether the job was cancelled."""
ASK_AGAIN = 3.0
"""Seconds without an event after which the job is asked for, in case one was missed."""
CANCEL_WAIT = 2.0
"""Seconds that the panel waits for the server to end a cancelled job, which may have a frame in the making."""
PAUSES = (0.5, 1.0, 2.0, 5.0)
"""Seconds before a lost server is looked for again: the first time, the second ..."""


class Interrupted(Exception):
    """`cancel` or `detach` was called."""


class Work:
    """Runs in a thread of its own; other threads read `status`, and call `cancel` and `detach`."""

    def __init__(
        self,
        status: Status,
        server: ServerSource,
        maps: DrawnMaps,
        *,
        reference: bytes | None = None,
        patience: float | None = None,
        retry: bool = False,
    ) -> None:
        self.status = status
        self._server = server
        self._maps = maps
        self._reference = reference
        self._patience = patience
        self._retry = retry
        self._interrupt = threading.Event()
        self._cancelled = False
        self._client: Client | None = None
        self._fetching = Fetching(status, self._check)

    @property
    def record(self) -> Record:
        return self.status.record

    @property
    def interrupted(self) -> bool:
        """Whether it was told to end, which its thread may not have heard yet."""
        return self._interrupt.is_set()

    def cancel(self) -> None:
        self._cancelled = True
        self._interrupt.set()

    def detach(self) -> None:
        self._interrupt.set()

    def run(self) -> None:
        try:
            whole = self._fetching.look()
            if self.status.state.ended:  # in an earlier session; `retry` goes on
                return
            if self.record.state is State.DONE and whole:
                self.status.end(State.DONE)
                return
            self._draw()
            self._animate()
        except Interrupted:
            self._end_interrupted()
        except ClientError as error:
            if self._interrupt.is_set():  # whatever it was, it is no longer wanted
                self._end_interrupted()
            else:
                self.status.fail(error)
        except Exception as error:  # a mistake of ours must end the job with a sentence, not leave the panel stuck
            log.exception("job %s", self.record.id)
            fix = "Please report it with the system console's output."
            self.status.fail(ClientError(f"The add-on made a mistake: {error!r}", fix=fix, code="internal-error"))
        finally:
            if self._client is not None:
                self._client.close()

    # phases

    def _draw(self) -> None:
        """Take maps as they come until all are on disk. Raises ClientError if no server would take the job."""
        if self.record.maps:
            return
        self.status.keep(state=State.DRAWING)
        if self._reference is not None:
            write_atomic(self.status.folder.reference, self._reference)
        frames = self.record.spec.frames
        preflight = Preflight(self._server, self.record.spec, self._interrupt)

        def progress(count: int) -> None:
            self.status.show(fraction=count / frames, step=count, steps=frames)
            self._check()
            if not self._maps.waiting:  # what is drawn is kept, for another try
                preflight.check()

        try:
            self.status.keep(maps=self._maps.collect(TICK, progress))
        finally:
            preflight.join(TICK)

    def _animate(self) -> None:
        """From drawn maps to the result, through as many losses of the server as there are."""
        self.status.keep(state=State.STARTING, problem="")
        lost_at: float | None = None
        losses = 0
        while True:
            try:
                client = self._connect()
                job = self._submit(client)
                lost_at, losses = None, 0
                self._finish(client, self._follow(client, job))
                return
            except ServerUnreachable as error:
                if self._client is None and not self.record.submitted:
                    raise  # there never was a server: say so at once
                lost_at = lost_at or time.monotonic()
                if self._patience is not None and time.monotonic() - lost_at > self._patience:
                    raise
                self.status.show_problem(error)
                self._pause(PAUSES[min(losses, len(PAUSES) - 1)])
                losses += 1

    def _connect(self) -> Client:
        self._check()
        if self.status.state is not State.STARTING:
            self.status.enter(State.STARTING)
        if self._client is not None:
            self._client.close()
        client = self._server.connect(lambda sentence: self.status.show(message=sentence), self._interrupt)
        self._check()
        client.server()
        self._client = client
        self.status.show(code="", fix="", message="", stage="")
        return client

    def _submit(self, client: Client) -> Job:
        """The job in the server, put there if it is new to it."""
        job = client.job(self.record.id)
        if job is None:
            if self.record.submitted:
                self.status.note("The server no longer knew this job: it was sent again")
            self.status.enter(State.UPLOADING)
            from_base = self._decide(client)
            upload_inputs(client, self.record, self.status.folder, self._sent)
            body = self.record.spec.body(self.record.maps, from_base=from_base)
            job = client.create_job(self.record.id, body)
        elif self._retry and job.state in ("failed", "cancelled"):
            self.status.enter(State.UPLOADING)
            upload_inputs(client, self.record, self.status.folder, self._sent)  # it may have failed for want of one
            client.retry_job(self.record.id)
            job = client.job(self.record.id) or job
        self._retry = False
        self.status.keep(submitted=True)
        return job

    def _decide(self, client: Client) -> bool:
        """Whether frames of the base can be kept; the snapshot's plan says so in a sentence."""
        spec = self.record.spec
        if spec.base is None:
            return False
        base: Record | None = None
        with contextlib.suppress(ClientError):
            base = Record.load(ResultFolder(self.status.folder.path.parent / spec.base))
        schema = next((engine.settings_schema for engine in client.engines() if engine.id == spec.engine), {})
        plan = what_changed(base, spec, self.record.maps, redo_only=redo_only_settings(schema))
        self.status.show(plan=plan.sentence)
        if isinstance(plan, Full):
            return False
        self.status.keep(stale=plan.stale)
        return True

    def _follow(self, client: Client, job: Job) -> Job:
        """Show the job until it ends, fetching frames as they are decoded. Returns the ended job."""
        self._progress(client, job)
        pending: set[int] = set()
        with client.job_events(job.id) as stream:
            asked = time.monotonic()
            while not job.ended:
                self._check()
                for event in _arrived(stream):
                    match event:
                        case JobChanged(changed):
                            job, asked = changed, time.monotonic()
                            self._progress(client, job)
                        case FrameReady(frame=frame):
                            pending.add(frame)
                        case JobRemoved():
                            raise _removed()
                        case StreamLost(error=error, final=final):
                            if final:
                                raise error
                            client.server()  # raises ServerUnreachable if it is more than a broken connection
                self._fetching.fetch(client, pending)
                pending.clear()
                if time.monotonic() - asked > ASK_AGAIN:
                    job, asked = self._ask(client), time.monotonic()
                    self._progress(client, job)
        return job

    def _finish(self, client: Client, job: Job) -> None:
        self.status.keep(notes=self.status.notes_with(job))
        if job.state == "done":
            self._fetching.finish(client, job)
            self.status.end(State.DONE)
            return
        with contextlib.suppress(ClientError):  # what is decoded is worth having, but the job's end comes first
            self._fetching.fetch(client)
        if job.state == "cancelled":
            self.status.end(State.CANCELLED, message="Cancelled in the server")
            return
        problem = job.problem or Problem("The server could not animate this", "job-failed", "Look at the server's log.")
        raise ClientError(problem.detail, fix=problem.fix, code=problem.code)

    # ends

    def _end_interrupted(self) -> None:
        if not self._cancelled:
            return  # detached: the server goes on, and so may the next session
        self.status.show(cancelling=True)
        message = "Cancelled"
        if self._client is not None and self.record.submitted and self.status.state is not State.FETCHING:
            try:
                self._cancel_in_server(self._client)
            except ClientError:
                message = "Cancelled here; the server could not be told and may go on with it"
        self.status.end(State.CANCELLED, message=message)

    def _cancel_in_server(self, client: Client) -> None:
        job = client.job(self.record.id)
        if job is None:
            return
        if not job.ended:  # DELETE of an ended job would delete its result
            client.delete_job(job.id)
        until = time.monotonic() + CANCEL_WAIT
        while job is not None and not job.ended and time.monotonic() < until:
            time.sleep(TICK)
            job = client.job(job.id)
        self._interrupt.clear()
        with contextlib.suppress(Interrupted):  # an impatient second click
            self._fetching.fetch(client)

    # small things

    def _check(self) -> None:
        if self._interrupt.is_set():
            raise Interrupted

    def _pause(self, seconds: float) -> None:
        self._interrupt.wait(seconds)
        self._check()

    def _sent(self, sent: int, of: int) -> None:
        self._check()
        self.status.show(fraction=sent / of)

    def _ask(self, client: Client) -> Job:
        job = client.job(self.record.id)
        if job is None:
            raise _removed()
        return job

    def _progress(self, client: Client, job: Job) -> None:
        if not job.ended:
            self.status.show_job(job)
        if job.state == "running":
            self._fetching.preview_of(client, job)


def _arrived(stream: EventStream) -> list[JobEvent]:
    """All events that are there, after waiting a tick for the first."""
    events = []
    with contextlib.suppress(queue.Empty):
        events.append(stream.events.get(timeout=TICK))
        while True:
            events.append(stream.events.get_nowait())
    return events


def _removed() -> ClientError:
    return ClientError("The job was deleted in the server", fix="Animate again.", code="job-removed")
