"""Jobs as the API sees them: every change of state happens here, under one lock, and is logged as an event."""

import contextlib
import logging
import sqlite3
import statistics
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal
from uuid import UUID

from inference_server.engines.registry import find_engine
from inference_server.errors import UserError
from inference_server.jobs.admission import WeightsState, check_inputs, check_job
from inference_server.jobs.blobs import Blobs
from inference_server.jobs.clock import Clock
from inference_server.jobs.events import EventLog
from inference_server.jobs.folder import DataFolder
from inference_server.jobs.model import (
    ENDED,
    Job,
    JobBody,
    JobOutline,
    JobProblem,
    JobProgress,
    JobResult,
    JobSummary,
    Notice,
)
from inference_server.jobs.notices import Notices
from inference_server.jobs.people import SINGLE, People, Person
from inference_server.jobs.progress import Meter
from inference_server.jobs.queue_order import Place, places
from inference_server.jobs.rebuild import NOTE, RowNote
from inference_server.jobs.store import Brief, Record, Store, brief
from inference_server.media.files import write_bytes
from inference_server.media.limits import Limits

JSON_CACHE = 64
OWNERS = 50_000
PACE_OF = 20
"""Jobs from which the expected wait is told."""

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
        notices: Notices | None = None,
        people: People | None = None,
    ) -> None:
        self.folder = folder
        self.store = store
        self.events = events
        self.limits = limits
        self.blobs = Blobs(folder, limits, people)
        self.clock = clock or Clock()
        self.notices = notices or Notices()
        self.on_change: Callable[[], None] = lambda: None
        self.cancelling: set[UUID] = set()
        self._weights_state = weights_state
        self._lock = threading.RLock()
        self._meters: dict[UUID, Meter] = {}
        self._unsaved: dict[UUID, Brief] = {}
        self._json: dict[UUID, tuple[int, str]] = {}
        self._json_lock = threading.Lock()
        self._owners: OrderedDict[UUID, str] = OrderedDict()
        self._queue: tuple[int, dict[UUID, Place]] = (-1, {})

    # what clients do

    def create(self, job: UUID, body: JobBody, person: Person = SINGLE) -> tuple[Job, bool]:
        """The job and whether it is new. Raises UserError `job-exists`, or whatever is wrong with the body."""
        existing = self._same(job, body, person)
        if existing is None:
            check_job(
                body,
                person=person,
                blobs=self.blobs,
                store=self.store,
                limits=self.limits,
                weights_state=self._weights_state,
            )
            with self._lock:
                existing = self._same(job, body, person)
                if existing is None:
                    check_inputs(body, person, self.blobs)  # again: some may have been erased meanwhile
                    self.folder.remove_job(job)  # a deleted job of this name may have left files
                    record = self.store.add(job, body, self.clock.now(), person.name)
                    self._note_beside_result(record)
                    self._owners.pop(job, None)
                    self.events.job_changed(job)
                    self.on_change()
                    return self.view(record), True
        return self.view(existing), False

    def get(self, job: UUID) -> Job:
        """Raises UserError `no-such-job`, `job-unreadable`."""
        return self.view(self.full(job))

    def newest(self, limit: int, *, before: UUID | None = None, owner: str | None = None) -> list[JobSummary]:
        """Newest first; those created before a job, those of one owner."""
        rows = self.store.newest(limit, before=before, owner=owner)
        return [self.summary(self._unsaved.get(row.id, row)) for row in rows]

    def cancel_or_delete(self, job: UUID) -> Literal["cancelled", "deleted"]:
        """Raises UserError `no-such-job`, `job-in-use`."""
        with self._lock:
            unreadable = str(job) in self.store.unreadable
            record = None if unreadable else self.record(job)
            if record is not None and record.state == "queued":
                self._end(record, "cancelled")
                self._tell_waiting()
                return "cancelled"
            if record is not None and record.state == "running":
                self.cancelling.add(job)
                self.save(replace(record, cancelling=True))  # so that it is remembered whatever is killed now
                self.on_change()
                return "cancelled"
        self.erase_inputs(self.delete(job))
        return "deleted"

    def delete(self, job: UUID) -> set[str]:
        """Drop an ended job with its files. Returns the hashes of its inputs, for `erase_inputs`.

        Raises UserError `job-in-use` if a waiting job builds on it, `result-in-use` if its files cannot be moved.
        """
        with self._lock:
            if job in self.bases_in_use():
                raise UserError(
                    "This result is the base of a job that is not done yet",
                    fix="Wait for that job, or cancel it first.",
                    code="job-in-use",
                )
            self.owner_of(job)  # its `removed` event is for them alone
            inputs = self.store.inputs(job)
            doomed = self.folder.set_aside(job)
            try:
                self.store.delete(job)
            except sqlite3.OperationalError:
                self.folder.drop(doomed)  # on a full disk this makes the room that the store needs
                self.store.delete(job)
            self._unsaved.pop(job, None)
            self.events.job_removed(job)
        self.folder.drop(doomed)  # without the lock: a long clip takes seconds
        return inputs

    def erase_inputs(self, inputs: set[str]) -> None:
        """Delete those pictures and maps at once that no job names any more, with the consents for them."""
        if not inputs:
            return
        with self._lock:
            gone = self.blobs.erase(inputs - self.store.used_blobs())
            self.store.forget_inputs(gone)

    def erase_picture(self, sha256: str, person: Person = SINGLE) -> int:
        """Delete a reference picture with every job of a person's (an admin: of anybody's) that was made from it.

        Returns the number of jobs. Waiting ones are cancelled. Raises UserError `no-such-blob`, and `blob-in-use`
        while one is running, `result-in-use`, `job-in-use`: what was deleted until then is gone.
        """
        with self._lock:
            jobs = [row for row in self.store.made_from(sha256) if person.may_see(row.owner)]
            if not jobs and self.blobs.missing([sha256], person):
                raise UserError("There is no such input", fix="Nothing is left to erase.", code="no-such-blob")
            running = [row for row in jobs if row.state == "running"]
            if running:
                raise UserError(
                    f"Job {running[0].id} is being computed from this picture",
                    fix="Cancel it and wait until it has stopped, then erase the picture again.",
                    code="blob-in-use",
                )
            for row in jobs:
                if row.state == "queued":
                    self._end(self.record(row.id), "cancelled")
        inputs = {sha256}.union(*(self.delete(row.id) for row in jobs))
        self.erase_inputs(inputs)
        return len(jobs)

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
            return self.view(self.store.full(record))

    def pin(self, job: UUID, pinned: bool) -> Job:
        with self._lock:
            record = replace(self.record(job), pinned=pinned)
            self.save(record)
            full = self.store.full(record)
            self._note_beside_result(full)
            return self.view(full)

    @property
    def paused(self) -> bool:
        return bool(self.store.setting("paused", False))

    def change_queue(self, paused: bool | None, order: Sequence[UUID] | None, owner: str | None = None) -> None:
        """The order is of one owner's jobs, or of all."""
        with self._lock:
            if paused is not None:
                self.store.set_setting("paused", paused)
            if order is not None:
                self.store.reorder(order, owner)
                self._tell_waiting()
            self.on_change()

    # what the scheduler does

    def recover(self) -> None:
        """After a start: what was running goes on, unless it was complete and only the last word was missing."""
        for record in self.store.in_state("running"):
            if self.finish_if_complete(record):
                continue
            if record.cancelling:
                self._end(record, "cancelled")
            else:
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
            self._meters[record.id] = Meter(record.body.frames, _steps(record.body))
            self.save(brief(record))
            self._tell_waiting()
            return record

    def requeue(self, record: Brief) -> None:
        """Back to where it was in the queue: the server stops, or its worker was told to."""
        self._forget(record.id)
        self.save(replace(record, state="queued", started_at=None))

    def finish(self, job: UUID, result: JobResult) -> None:
        with self._lock:
            self._end(self.record(job), "done", result=result)

    def finish_if_complete(self, record: Brief) -> bool:
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
    ) -> Brief:
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

    def set_stale(self, job: UUID, frames: Sequence[int]) -> Brief:
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

    def restart_meter(self, record: Brief) -> None:
        self._meters[record.id] = Meter(record.body.frames, _steps(record.body))

    def progress(self, job: UUID) -> JobProgress | None:
        meter = self._meters.get(job)
        return meter.progress if meter else None

    # shared

    def record(self, job: UUID) -> Brief:
        """Raises UserError `no-such-job`, `job-unreadable`."""
        found = self._unsaved.get(job) or self.store.brief(job)
        if found is None:
            raise no_such_job(job)
        return found

    def full(self, job: UUID) -> Record:
        """The row with its whole body. Raises UserError `no-such-job`, `job-unreadable`."""
        return self.store.full(self.record(job))

    def view(self, record: Record) -> Job:
        return Job(body=record.body, **self._facts(record))

    def summary(self, row: Brief) -> JobSummary:
        return JobSummary(body=row.body, **self._facts(row))

    def owner_of(self, job: UUID) -> str | None:
        """Whose it is, or was if it is deleted; None for one that this server has not known since its start."""
        if (known := self._owners.get(job)) is None and str(job) not in self.store.unreadable:
            row = self.store.brief(job)
            if row is not None:
                known = self._owners[job] = row.owner
                while len(self._owners) > OWNERS:
                    self._owners.popitem(last=False)
        return known

    def _place(self, job: UUID) -> Place:
        """Where a queued job stands. Found for the whole queue at once, and again after a change of any job."""
        version = self.events.last
        if self._queue[0] != version:
            running = self.store.in_state("running")
            left = [progress.eta_s if (progress := self.progress(row.id)) else None for row in running]
            self._queue = version, places(self.store.waiting(), left, self._pace())
        return self._queue[1].get(job, Place(0, None))

    def _pace(self) -> float | None:
        """Seconds a frame, of the jobs that ended last."""
        done = [row.result for row in self.store.newest(PACE_OF) if row.result is not None and row.result.frames]
        return statistics.median(result.seconds / result.frames for result in done) if done else None

    def _facts(self, record: Record | Brief) -> dict[str, Any]:
        place = self._place(record.id) if record.state == "queued" else Place(0, None)
        return {
            "id": record.id,
            "state": record.state,
            "position": place.ahead,
            "wait_s": place.wait_s,
            "pinned": record.pinned,
            "created_at": record.created_at,
            "started_at": record.started_at,
            "finished_at": record.finished_at,
            "progress": self._progress(record),
            "notes": record.notes,
            "problem": record.problem,
            "result": record.result,
        }

    def json(self, job: UUID, version: int) -> str:
        """The job's summary as JSON, made once per event id for all readers. Raises UserError `no-such-job`."""
        with self._json_lock:
            cached = self._json.get(job)
        if cached is None or cached[0] < version:
            cached = (version, self.summary(self.record(job)).model_dump_json())
            with self._json_lock:
                self._json[job] = cached
                while len(self._json) > JSON_CACHE:
                    del self._json[next(iter(self._json))]
        return cached[1]

    def all_notices(self) -> list[Notice]:
        """What the artist should know about the server."""
        bad = len(self.store.unreadable)
        found = self.notices.all()
        if bad:
            what = "1 job was" if bad == 1 else f"{bad} jobs were"
            found.append(
                Notice(
                    code="jobs-unreadable",
                    detail=f"{what} written by another version of the server, or damaged, and cannot be shown: "
                    + ", ".join(sorted(self.store.unreadable)[:3]),
                    fix="Update the server, or delete them by these ids; their results stay until then.",
                )
            )
        return found

    def bases_in_use(self) -> set[UUID]:
        return {r.body.base_job for r in self.store.in_state("queued", "running") if r.body.base_job is not None}

    def ready_frames(self, record: Brief) -> list[int]:
        """Frames that can be fetched, in order."""
        try:
            names = {path.name for path in self.folder.frames(record.id).iterdir()}
        except OSError:
            return []
        return [n for n in range(record.body.frames) if f"{n:06d}.png" in names]

    def save(self, record: Brief) -> None:
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

    def _same(self, job: UUID, body: JobBody, person: Person) -> Record | None:
        record = self.full(job) if self.store.exists(job) else None
        if record is not None and (record.body != body or not person.may_see(record.owner)):
            raise UserError(
                f"Job {job} exists with another body",
                fix="Use a new UUID for a new job.",
                code="job-exists",
            )
        return record

    def _end(
        self,
        record: Brief,
        state: Literal["done", "failed", "cancelled"],
        *,
        problem: JobProblem | None = None,
        result: JobResult | None = None,
    ) -> None:
        assert state in ENDED
        self._forget(record.id)
        self.folder.remove_parts(record.id)
        now = self.clock.now()
        self.save(replace(record, state=state, finished_at=now, problem=problem, result=result, cancelling=False))
        if self.paused:  # else the next job starts, and tells
            self._tell_waiting()

    def _note_beside_result(self, record: Record) -> None:
        """What is asked for, beside what comes out: should the database be lost, the list is made from these."""
        note = RowNote(
            owner=record.owner,
            number=record.number,
            created_at=record.created_at,
            pinned=record.pinned,
            body=record.body,
        )
        try:
            write_bytes(self.folder.job(record.id) / NOTE, note.model_dump_json().encode())
        except OSError as error:
            log.error("job %s: %s", record.id, error)

    def _tell_waiting(self) -> None:
        """Their position has changed."""
        for job in self.store.ids_in_state("queued"):
            self.events.job_changed(job)

    def _forget(self, job: UUID) -> None:
        self.cancelling.discard(job)
        self._meters.pop(job, None)

    def _progress(self, record: Record | Brief) -> JobProgress:
        if (live := self.progress(record.id)) is not None:
            return live
        frames = record.body.frames
        if record.state == "done":
            steps = _steps(record.body)
            return JobProgress(stage="writing", step=steps, steps=steps, frames_done=frames, frames=frames, fraction=1)
        return JobProgress(frames=frames, steps=_steps(record.body))


def no_such_job(job: UUID) -> UserError:
    return UserError(f"There is no job {job}", fix="List the jobs with GET /v1/jobs.", code="no-such-job")


def _steps(body: JobBody | JobOutline) -> int:
    """Denoising steps by the settings, for engines that have such a setting."""
    with contextlib.suppress(UserError, ValueError):
        settings = find_engine(body.engine).settings.model_validate(body.settings)
        return int(getattr(settings, "steps", 0))
    return 0
