"""Jobs as the API sees them: every change of state happens here, under one lock, and is logged as an event."""

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal
from uuid import UUID

from inference_server.engines.registry import find_engine
from inference_server.errors import UserError
from inference_server.jobs.admission import WeightsState, check_job
from inference_server.jobs.blobs import Blobs
from inference_server.jobs.clock import Clock
from inference_server.jobs.events import EventLog
from inference_server.jobs.folder import DataFolder
from inference_server.jobs.model import ENDED, Job, JobBody, JobProblem, JobProgress, JobResult
from inference_server.jobs.progress import Meter
from inference_server.jobs.store import Record, Store
from inference_server.media.limits import Limits

JSON_CACHE = 64

log = logging.getLogger(__name__)


class JobService:
    """Thread-safe. `on_change` wakes whoever computes (the scheduler)."""

    def __init__(
        self,
        folder: DataFolder,
        store: Store,
        events: EventLog,
        *,
        limits: Limits,
        weights_state: WeightsState,
        clock: Clock | None = None,
    ) -> None:
        self.folder = folder
        self.store = store
        self.events = events
        self.limits = limits
        self.blobs = Blobs(folder, limits)
        self.clock = clock or Clock()
        self.on_change: Callable[[], None] = lambda: None
        self.cancelling: set[UUID] = set()
        self._weights_state = weights_state
        self._lock = threading.RLock()
        self._meters: dict[UUID, Meter] = {}
        self._unsaved: dict[UUID, Record] = {}
        self._json: dict[UUID, tuple[int, str]] = {}

    # what clients do

    def create(self, job: UUID, body: JobBody) -> tuple[Job, bool]:
        """The job and whether it is new. Raises UserError `job-exists`, or whatever is wrong with the body."""
        existing = self._same(job, body)
        if existing is None:
            check_job(body, blobs=self.blobs, store=self.store, limits=self.limits, weights_state=self._weights_state)
            with self._lock:
                existing = self._same(job, body)
                if existing is None:
                    self.folder.remove_job(job)  # a deleted job of this name may have left files
                    record = self.store.add(job, body, self.clock.now())
                    self.events.job_changed(job)
                    self.on_change()
                    return self.view(record), True
        return self.view(existing), False

    def get(self, job: UUID) -> Job:
        """Raises UserError `no-such-job`."""
        return self.view(self.record(job))

    def newest(self, limit: int) -> list[Job]:
        return [self.view(self._unsaved.get(record.id, record)) for record in self.store.newest(limit)]

    def cancel_or_delete(self, job: UUID) -> Literal["cancelled", "deleted"]:
        """Raises UserError `no-such-job`, `job-in-use`."""
        with self._lock:
            record = self.record(job)
            if record.state == "queued":
                self._end(record, "cancelled")
                return "cancelled"
            if record.state == "running":
                self.cancelling.add(job)
                self.on_change()
                return "cancelled"
            self.delete(record)
            return "deleted"

    def delete(self, record: Record) -> None:
        """Drop an ended job with its files. Raises UserError `job-in-use` if a waiting job builds on it."""
        with self._lock:
            if record.id in self.bases_in_use():
                raise UserError(
                    "This result is the base of a job that is not done yet",
                    fix="Wait for that job, or cancel it first.",
                    code="job-in-use",
                )
            self.store.delete(record.id)
            self._unsaved.pop(record.id, None)
            self.folder.remove_job(record.id)
            self.events.job_removed(record.id)

    def retry(self, job: UUID) -> Job:
        """Queue a failed or cancelled job again; it goes on from its last step. Raises `no-such-job`, `not-ended`."""
        with self._lock:
            record = self.record(job)
            if record.state not in ("failed", "cancelled"):
                raise UserError(
                    f"The job is {record.state}", fix="Only failed or cancelled jobs are tried again.", code="not-ended"
                )
            self.store.move_to_end(record)
            record = replace(record, state="queued", started_at=None, finished_at=None, problem=None, died_at=None)
            self.save(record)
            self.on_change()
            return self.view(record)

    def pin(self, job: UUID, pinned: bool) -> Job:
        with self._lock:
            record = replace(self.record(job), pinned=pinned)
            self.save(record)
            return self.view(record)

    @property
    def paused(self) -> bool:
        return bool(self.store.setting("paused", False))

    def change_queue(self, paused: bool | None, order: Sequence[UUID] | None) -> None:
        with self._lock:
            if paused is not None:
                self.store.set_setting("paused", paused)
            if order is not None:
                self.store.reorder(order)
                self._tell_waiting()
            self.on_change()

    # what the scheduler does

    def recover(self) -> None:
        """After a start: what was running goes on, unless it was complete and only the last word was missing."""
        for record in self.store.in_state("running"):
            if not self.finish_if_complete(record):
                log.info("job %s was interrupted; it goes on", record.id)
                self.save(replace(record, state="queued", started_at=None))

    def next_job(self) -> Record | None:
        """The next queued job, now running. None while paused, or while a change waits for disk space."""
        with self._lock:
            if self.paused or not self.flush():
                return None
            record = self.store.next_queued()
            if record is None:
                return None
            record = replace(record, state="running", started_at=self.clock.now())
            self._meters[record.id] = Meter(record.body.frames, _steps(record))
            self.save(record)
            self._tell_waiting()
            return record

    def requeue(self, record: Record) -> None:
        """Back to where it was in the queue: the server stops, or its worker was told to."""
        self._forget(record.id)
        self.save(replace(record, state="queued", started_at=None))

    def finish(self, job: UUID, result: JobResult) -> None:
        with self._lock:
            self._end(self.record(job), "done", result=result)

    def finish_if_complete(self, record: Record) -> bool:
        """result.json is the worker's last act; with it there the job must not be run again."""
        file = self.folder.open(self.folder.job(record.id) / "result.json")
        if file is None:
            return False
        with file:
            try:
                result = JobResult.model_validate_json(file.read())
            except ValueError:
                return False
        self._end(record, "done", result=result)
        return True

    def fail(self, job: UUID, detail: str, fix: str, code: str) -> None:
        with self._lock:
            log.warning("job %s failed: %s", job, detail)
            self._end(self.record(job), "failed", problem=JobProblem(detail=detail, fix=fix, code=code))

    def cancelled(self, job: UUID) -> None:
        with self._lock:
            self._end(self.record(job), "cancelled")

    def note(
        self, job: UUID, text: str, *, low_memory: bool = False, in_full: bool = False, died_at: str | None = None
    ) -> Record:
        with self._lock:
            record = self.record(job)
            notes = [*record.notes, text]
            record = replace(
                record,
                notes=notes,
                low_memory=record.low_memory or low_memory,
                died_at=died_at or record.died_at,
                stale=[] if in_full else record.stale,
            )
            self.save(record)
            return record

    def set_stale(self, job: UUID, frames: Sequence[int]) -> Record:
        with self._lock:
            record = replace(self.record(job), stale=list(frames))
            self.save(record)
            return record

    def advance(self, job: UUID, stage: str, step: int, steps: int, frames_done: int, part: float = 0.0) -> None:
        if (meter := self._meters.get(job)) is not None:
            meter.advance(stage, step, steps, frames_done, time.monotonic(), part)
            self.events.job_changed(job)

    def frame_done(self, job: UUID, frame: int) -> None:
        if (meter := self._meters.get(job)) is not None:
            meter.frame_done(time.monotonic())
            self.events.frame_ready(job, frame)
            self.events.job_changed(job)

    def restart_meter(self, record: Record) -> None:
        self._meters[record.id] = Meter(record.body.frames, _steps(record))

    def progress(self, job: UUID) -> JobProgress | None:
        meter = self._meters.get(job)
        return meter.progress if meter else None

    # shared

    def record(self, job: UUID) -> Record:
        found = self._unsaved.get(job) or self.store.get(job)
        if found is None:
            raise UserError(f"There is no job {job}", fix="List the jobs with GET /v1/jobs.", code="no-such-job")
        return found

    def view(self, record: Record) -> Job:
        position = self.store.ahead_of(record) if record.state == "queued" else 0
        return Job(
            id=record.id,
            state=record.state,
            position=position,
            pinned=record.pinned,
            created_at=record.created_at,
            started_at=record.started_at,
            finished_at=record.finished_at,
            body=record.body,
            progress=self._progress(record),
            notes=record.notes,
            problem=record.problem,
            result=record.result,
        )

    def json(self, job: UUID, version: int) -> str:
        """The job as JSON, made once per event id for all readers. Raises UserError `no-such-job`."""
        with self._lock:
            cached = self._json.get(job)
            if cached is None or cached[0] < version:
                cached = (version, self.view(self.record(job)).model_dump_json())
                self._json[job] = cached
                while len(self._json) > JSON_CACHE:
                    del self._json[next(iter(self._json))]
            return cached[1]

    def bases_in_use(self) -> set[UUID]:
        return {r.body.base_job for r in self.store.in_state("queued", "running") if r.body.base_job is not None}

    def ready_frames(self, record: Record) -> list[int]:
        """Frames that can be fetched, in order."""
        try:
            names = {path.name for path in self.folder.frames(record.id).iterdir()}
        except OSError:
            return []
        return [n for n in range(record.body.frames) if f"{n:06d}.png" in names]

    def save(self, record: Record) -> None:
        """Store and tell. A full disk does not stop the server: the change is held, and written when there is room."""
        with self._lock:
            self._unsaved[record.id] = record
            self.flush()
            self.events.job_changed(record.id)

    def flush(self) -> bool:
        """Write what could not be written before. True if nothing waits."""
        with self._lock:
            for record in list(self._unsaved.values()):
                try:
                    self.store.update(record)
                except sqlite3.OperationalError as error:
                    log.error("job %s could not be saved: %s", record.id, error)
                    return False
                del self._unsaved[record.id]
        return True

    def _same(self, job: UUID, body: JobBody) -> Record | None:
        record = self._unsaved.get(job) or self.store.get(job)
        if record is not None and record.body != body:
            raise UserError(
                f"Job {job} exists with another body",
                fix="Use a new UUID for a new job.",
                code="job-exists",
            )
        return record

    def _end(
        self,
        record: Record,
        state: Literal["done", "failed", "cancelled"],
        *,
        problem: JobProblem | None = None,
        result: JobResult | None = None,
    ) -> None:
        assert state in ENDED
        self._forget(record.id)
        self.save(replace(record, state=state, finished_at=self.clock.now(), problem=problem, result=result))

    def _tell_waiting(self) -> None:
        """Their position has changed."""
        for job in self.store.ids_in_state("queued"):
            self.events.job_changed(job)

    def _forget(self, job: UUID) -> None:
        self.cancelling.discard(job)
        self._meters.pop(job, None)

    def _progress(self, record: Record) -> JobProgress:
        if (live := self.progress(record.id)) is not None:
            return live
        frames = record.body.frames
        if record.state == "done":
            steps = _steps(record)
            return JobProgress(stage="writing", step=steps, steps=steps, frames_done=frames, frames=frames, fraction=1)
        return JobProgress(frames=frames, steps=_steps(record))


def _steps(record: Record) -> int:
    """Denoising steps by the settings, for engines that have such a setting."""
    with contextlib.suppress(UserError, ValueError):
        settings = find_engine(record.body.engine).settings.model_validate(record.body.settings)
        return int(getattr(settings, "steps", 0))
    return 0
