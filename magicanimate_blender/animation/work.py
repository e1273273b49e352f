"""What the thread of a job does: everything that waits for a disk or a socket."""

import contextlib
import dataclasses
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from ..client import (
    BadAnswer,
    Client,
    ClientError,
    EventStream,
    FrameReady,
    Job,
    JobChanged,
    JobEvent,
    JobRemoved,
    ServerProblem,
    ServerUnreachable,
    StreamLost,
    sha256,
    write_atomic,
)
from ..client.files import file_problem
from .changes import Full, redo_only_settings, what_changed
from .record import Record, ResultFolder
from .states import NEXT, Snapshot, State
from .transfer import fetch_frames, upload_inputs

log = logging.getLogger(__name__)
TICK = 0.1
"""Seconds between looks at whether the job was cancelled."""
ASK_AGAIN = 3.0
"""Seconds without an event after which the job is asked for, in case one was missed."""
PREVIEW_EVERY = 1.0
"""Seconds between previews, at least."""
CANCEL_WAIT = 2.0
"""Seconds that the panel waits for the server to end a cancelled job, which may have a frame in the making."""
PAUSES = (0.5, 1.0, 2.0, 5.0)
"""Seconds before a lost server is looked for again: the first time, the second ..."""
STAGES = {
    "waiting": "Starting the engine",
    "loading": "Loading weights",
    "preparing": "Preparing",
    "denoising": "Animating",
    "decoding": "Decoding frames",
    "writing": "Writing the video",
}


class ServerSource(Protocol):
    """Where the server comes from: started on this computer, attached to, or far away."""

    def connect(self, say: Callable[[str], None], stop: threading.Event) -> Client:
        """A client of a running server. May take long: says what it does by `say(sentence)`, ends when `stop` is set.

        Called again whenever the server was lost. Raises ServerUnreachable if trying again may help, else another
        ClientError.
        """
        ...


class Interrupted(Exception):
    """`cancel` or `detach` was called."""


class Work:
    """Runs in a thread of its own; other threads read `snapshot` and `record`, and call `cancel` and `detach`."""

    def __init__(
        self,
        folder: ResultFolder,
        record: Record,
        server: ServerSource,
        maps: "queue.SimpleQueue[tuple[int, bytes]]",
        *,
        reference: bytes | None = None,
        patience: float | None = None,
        retry: bool = False,
    ) -> None:
        self.folder = folder
        self.record = record
        frames = record.spec.frames
        self._server = server
        self._maps = maps
        self._reference = reference
        self._patience = patience
        self._retry = retry
        self._interrupt = threading.Event()
        self._cancelled = False
        self._client: Client | None = None
        self._preview_at = 0.0
        self._preview_step = -1
        self._fetched: set[int] = set()
        state = State.STARTING if record.maps else State.DRAWING
        self.snapshot = Snapshot(state, frames, notes=record.notes)

    def cancel(self) -> None:
        self._cancelled = True
        self._interrupt.set()

    def detach(self) -> None:
        self._interrupt.set()

    def run(self) -> None:
        try:
            self._fetched = self.folder.fetched(self.record.spec.frames)
            if self.record.state is State.DONE and len(self._fetched) == self.record.spec.frames:
                self._end(State.DONE)
                return
            self._draw()
            self._animate()
        except Interrupted:
            self._end_interrupted()
        except ClientError as error:
            if self._interrupt.is_set():  # whatever it was, it is no longer wanted
                self._end_interrupted()
            else:
                self._fail(error)
        except Exception as error:  # a mistake of ours must end the job with a sentence, not leave the panel stuck
            log.exception("job %s", self.record.id)
            self._fail(
                ClientError(
                    f"The add-on made a mistake: {error!r}",
                    fix="Please report it with the system console's output.",
                    code="internal-error",
                )
            )
        finally:
            if self._client is not None:
                self._client.close()

    # phases

    def _draw(self) -> None:
        """Take maps as they come and put them on disk until all are there."""
        if self.record.maps:
            return
        self._keep(state=State.DRAWING)
        if self._reference is not None:
            write_atomic(self.folder.reference, self._reference)
        frames = self.record.spec.frames
        digests: dict[int, str] = {}
        for frame in self.folder.drawn(frames):
            path = self.folder.map(frame)
            try:
                digests[frame] = sha256(path.read_bytes())
            except OSError as error:
                raise file_problem(path, error) from error
        while len(digests) < frames:
            self._show(fraction=len(digests) / frames, step=len(digests), steps=frames)
            self._check()
            try:
                frame, png = self._maps.get(timeout=TICK)
            except queue.Empty:
                continue
            try:
                write_atomic(self.folder.map(frame), png)
            except ClientError:
                self._maps.put((frame, png))  # for a retry
                raise
            digests[frame] = sha256(png)
        self._keep(maps=tuple(digests[n] for n in range(frames)))

    def _animate(self) -> None:
        """From drawn maps to the result, through as many losses of the server as there are."""
        lost_at: float | None = None
        losses = 0
        while True:
            known = self.record.submitted or self._client is not None
            try:
                client = self._connect()
                job = self._submit(client)
                lost_at, losses = None, 0
                self._finish(client, self._follow(client, job))
                return
            except ServerUnreachable as error:
                if not known and self._client is None:
                    raise  # there never was a server: say so at once
                lost_at = lost_at or time.monotonic()
                if self._patience is not None and time.monotonic() - lost_at > self._patience:
                    raise
                self._enter(State.STARTING, code=error.code, stage="Looking for the server", message=str(error))
                self._pause(PAUSES[min(losses, len(PAUSES) - 1)])
                losses += 1

    def _connect(self) -> Client:
        self._check()
        if self.snapshot.state is not State.STARTING:
            self._enter(State.STARTING)
        if self._client is not None:
            self._client.close()
        client = self._server.connect(lambda sentence: self._show(message=sentence), self._interrupt)
        self._check()
        client.server()
        self._client = client
        self._show(code="", fix="", message="", stage="")
        return client

    def _submit(self, client: Client) -> Job:
        """The job in the server, put there if it is new to it."""
        job = client.job(self.record.id)
        if job is None:
            if self.record.submitted:
                self._note("The server no longer knew this job: it was sent again")
            self._enter(State.UPLOADING)
            from_base = self._decide(client)
            upload_inputs(client, self.record, self.folder, self._sent)
            body = self.record.spec.body(self.record.maps, from_base=from_base)
            job = client.create_job(self.record.id, body)
        elif self._retry and job.state in ("failed", "cancelled"):
            client.retry_job(self.record.id)
            job = client.job(self.record.id) or job
        self._retry = False
        self._keep(submitted=True)
        return job

    def _decide(self, client: Client) -> bool:
        """Whether frames of the base can be kept; the snapshot's plan says so in a sentence."""
        spec = self.record.spec
        if spec.base is None:
            return False
        base: Record | None = None
        with contextlib.suppress(ClientError):
            base = Record.load(ResultFolder(self.folder.path.parent / spec.base))
        schema = next((engine.settings_schema for engine in client.engines() if engine.id == spec.engine), {})
        plan = what_changed(base, spec, self.record.maps, redo_only=redo_only_settings(schema))
        self._show(plan=plan.sentence)
        if isinstance(plan, Full):
            return False
        self._keep(stale=plan.stale)
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
                self._fetch(client, pending)
                pending.clear()
                if time.monotonic() - asked > ASK_AGAIN:
                    job, asked = self._ask(client), time.monotonic()
                    self._progress(client, job)
        return job

    def _finish(self, client: Client, job: Job) -> None:
        frames = set(range(self.record.spec.frames))
        self._keep(notes=(*self.record.notes, *(n for n in job.notes if n not in self.record.notes)))
        if job.state != "done":
            with contextlib.suppress(ClientError):  # what is decoded is worth having, but the job's end comes first
                self._fetch(client, frames)
            if job.state == "cancelled":
                self._end(State.CANCELLED, message="Cancelled in the server")
                return
            problem = job.problem
            raise ServerProblem(
                problem.detail if problem else "The server could not animate this",
                fix=problem.fix if problem else "Look at the server's log.",
                code=problem.code if problem else "job-failed",
                status=200,
            )
        self._enter(State.FETCHING, stage="", eta_s=None)
        if self.record.spec.base is not None:
            # The base's frames came first, and those near a changed one were computed again since.
            self._fetched.clear()
        self._fetch(client, frames)
        if missing := frames - self._fetched:
            raise BadAnswer(f"The server says that the job is done, but frame {min(missing)} is not there")
        client.recipe(job.id, self.folder.recipe)
        self._check()
        client.video(job.id, self.folder.video)
        self._preview(client)
        if job.result is not None:
            self._keep(
                seconds=job.result.seconds,
                computed_frames=job.result.computed_frames,
                demo_weights=job.result.demo_weights,
            )
        self._end(State.DONE)

    # ends

    def _end_interrupted(self) -> None:
        if not self._cancelled:
            return  # detached: the server goes on, and so may the next session
        self._show(cancelling=True)
        message = "Cancelled"
        if self._client is not None and self.record.submitted and self.snapshot.state is not State.FETCHING:
            try:
                self._cancel_in_server(self._client)
            except ClientError:
                message = "Cancelled here; the server could not be told and may go on with it"
        self._end(State.CANCELLED, message=message)

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
        self._fetch(client, set(range(self.record.spec.frames)))

    def _fail(self, error: ClientError) -> None:
        self._end(State.FAILED, message=error.detail, fix=error.fix, code=error.code)

    def _end(self, state: State, *, message: str = "", fix: str = "", code: str = "") -> None:
        problem = f"{message}. {fix}".strip() if state is State.FAILED else ""
        with contextlib.suppress(ClientError):  # a full disk is told by what failed on it first
            self._keep(state=state, problem=problem)
        snapshot = dataclasses.replace(
            self.snapshot, frames_fetched=len(self._fetched), stage="", eta_s=None, cancelling=False
        )
        fraction = 1.0 if state is State.DONE else snapshot.fraction
        self.snapshot = dataclasses.replace(
            snapshot, state=state, message=message, fix=fix, code=code, fraction=fraction, notes=self.record.notes
        )

    # small things

    def _check(self) -> None:
        if self._interrupt.is_set():
            raise Interrupted

    def _pause(self, seconds: float) -> None:
        self._interrupt.wait(seconds)
        self._check()

    def _show(self, **changes: Any) -> None:
        self.snapshot = dataclasses.replace(self.snapshot, **changes)

    def _enter(self, state: State, **changes: Any) -> None:
        if state is not self.snapshot.state:
            if state not in NEXT[self.snapshot.state]:
                raise RuntimeError(f"{self.snapshot.state.value} -> {state.value}")
            changes = {"fraction": 0.0, "message": "", "fix": "", "code": "", "step": 0, "steps": 0, **changes}
        self._show(state=state, **changes)

    def _keep(self, **changes: Any) -> None:
        """Change the record, on disk too. Raises FileProblem."""
        self.record = dataclasses.replace(self.record, **changes)
        self.record.save(self.folder)

    def _note(self, note: str) -> None:
        self._keep(notes=(*self.record.notes, note))
        self._show(notes=self.record.notes)

    def _sent(self, sent: int, of: int) -> None:
        self._check()
        self._show(fraction=sent / of)

    def _ask(self, client: Client) -> Job:
        job = client.job(self.record.id)
        if job is None:
            raise _removed()
        return job

    def _progress(self, client: Client, job: Job) -> None:
        progress = job.progress
        state = {"queued": State.QUEUED, "running": State.RUNNING}.get(job.state)
        if state is None:
            return
        self._enter(
            state,
            stage=STAGES[progress.stage] if state is State.RUNNING else "",
            step=progress.step,
            steps=progress.steps,
            frames_done=progress.frames_done,
            fraction=progress.fraction,
            eta_s=progress.eta_s,
            position=job.position if state is State.QUEUED else None,
            notes=(*self.record.notes, *(n for n in job.notes if n not in self.record.notes)),
        )
        moved = (progress.step + progress.frames_done) != self._preview_step
        if state is State.RUNNING and moved and time.monotonic() - self._preview_at > PREVIEW_EVERY:
            self._preview_step = progress.step + progress.frames_done
            self._preview(client)

    def _preview(self, client: Client) -> None:
        self._preview_at = time.monotonic()
        try:
            write_atomic(self.folder.preview, client.preview(self.record.id))
        except ServerProblem:
            return  # there is none yet
        self._show(preview=self.folder.preview, preview_version=self.snapshot.preview_version + 1)

    def _fetch(self, client: Client, frames: set[int]) -> None:
        for frame in fetch_frames(client, self.record.id, self.folder, frames - self._fetched):
            self._fetched.add(frame)
            self._show(frames_fetched=len(self._fetched))
            if self.snapshot.state is State.FETCHING:
                self._show(fraction=len(self._fetched) / self.snapshot.frames)
            self._check()


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
