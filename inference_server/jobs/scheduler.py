"""One job after the other through the worker process, whatever happens to that process."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from inference_server.engines.options import EngineOptions
from inference_server.engines.registry import find_engine
from inference_server.errors import UserError
from inference_server.jobs.admission import find_weight_set
from inference_server.jobs.folder import disk_full
from inference_server.jobs.messages import (
    Advanced,
    Cancel,
    Done,
    Failed,
    FrameDone,
    Note,
    Ready,
    Run,
    Stop,
    Stopped,
)
from inference_server.jobs.model import JobResult
from inference_server.jobs.partial import BasePlan, plan_base
from inference_server.jobs.retention import CleanUp, Keep
from inference_server.jobs.service import JobService
from inference_server.jobs.store import Brief, Record
from inference_server.jobs.worker_process import WORKER, WorkerProcess
from inference_server.weights.manifest import tree_hash

WorkerState = Literal["stopped", "starting", "idle", "busy"]
TICK = 0.25
FULL = 2**20
"""Bytes; a disk with less free counts as full."""
CLEAN_EVERY, CLEAN_SOON = 600.0, 10.0
"""Seconds between clean-ups, and after a job has ended."""
STOP_WAIT = 8.0
"""Seconds that a graceful stop gives a step that is being computed; a killed one is only computed again."""
MOST_ENDS = 10
"""Workers that may end during one job, each at another place: more is a machine that is broken."""
WORKER_DIED_FIX = "See worker.log in the server's logs folder; choose a smaller size if memory ran out, then try again."

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerOptions:
    """Times in seconds.

    command: how the worker is started. idle_unload: after how long without work it is stopped, and its memory freed.
    cancel_wait: how long a cancelled job may take to stop by itself. step_limit: silence after which it counts as hung.
    disk_reserve: bytes left free, so that the server itself can always write. signing: PEM files of a certificate chain
    and its key for content credentials, else this computer's own.
    """

    command: Sequence[str] = WORKER
    engine: EngineOptions = field(default_factory=EngineOptions)
    idle_unload: float = 600.0
    cancel_wait: float = 20.0
    step_limit: float = 3600.0
    disk_reserve: int = 256 * 2**20
    signing: tuple[Path, Path] | None = None
    keep: Keep = field(default_factory=Keep)


@dataclass
class Current:
    """The running job. heard: monotonic time of the last report. ends: workers that ended during it."""

    record: Brief
    heard: float
    ends: int = 0
    place: str = "loading 0 0"
    cancel_deadline: float | None = None


class Scheduler:
    """A thread that owns the worker process. `weights_folder` finds the files of a weight set."""

    def __init__(self, service: JobService, options: WorkerOptions, weights_folder: Callable[[str], Path]) -> None:
        self.service = service
        self.options = options
        self.device: dict[str, Any] | None = None
        self._weights_folder = weights_folder
        self._inbox: queue.SimpleQueue[tuple[WorkerProcess, Any] | None] = queue.SimpleQueue()
        self._worker: WorkerProcess | None = None
        self._current: Current | None = None
        self._idle_since = time.monotonic()
        self._unload = threading.Event()
        self._stopping = threading.Event()
        self._clean_at = time.monotonic()
        self._cleaner = CleanUp(service, options.keep)
        self._cleaning: threading.Thread | None = None
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> None:
        self.service.recover()
        self.service.on_change = self._wake
        self._thread.start()

    def stop(self) -> None:
        """End the worker after its step; its job is queued again and goes on at the next start."""
        self._stopping.set()
        self._wake()
        self._thread.join(STOP_WAIT + 10)
        if self._cleaning is not None:
            self._cleaning.join(10)

    def unload(self) -> None:
        """Free the device's memory: stop the worker, now if it is idle, else when its job is done."""
        self._unload.set()
        self._wake()

    @property
    def worker_state(self) -> WorkerState:
        worker = self._worker
        if worker is None:
            return "stopped"
        if not worker.ready:
            return "starting"
        return "idle" if self._current is None else "busy"

    @property
    def worker_pid(self) -> int | None:
        worker = self._worker
        return worker.pid if worker else None

    def _wake(self) -> None:
        self._inbox.put(None)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._turn()
            except Exception:
                log.exception("the scheduler goes on after an error")
                time.sleep(TICK)
        self._shut_down()

    def _turn(self) -> None:
        try:
            item = self._inbox.get(timeout=TICK)
        except queue.Empty:
            item = None
        if item is not None:
            worker, report = item
            if worker is self._worker:
                self._gone(worker) if report is None else self._hear(report)
        self._watch()
        if self._current is None:
            self._begin_next()
        self._rest()

    # jobs

    def _begin_next(self) -> None:
        worker = self._worker
        if worker is not None and not worker.ready:
            return
        record = self.service.next_job()
        if record is not None:
            self._begin(record)

    def _begin(self, record: Record, ends: int = 0) -> None:
        try:
            command = self._command(record)
            if self._worker is None:
                self._worker = self._start_worker()
        except UserError as error:
            self.service.fail(record.id, error.message, error.fix, error.code)
            return
        except Exception as error:  # a job must not stay "running" with nobody at work on it
            log.exception("job %s could not be given to a worker", record.id)
            detail = f"The computing process could not be started: {error}"
            self.service.fail(record.id, detail, WORKER_DIED_FIX, "worker-died")
            return
        self._current = Current(self.service.record(record.id), time.monotonic(), ends)
        log.info("job %s goes to worker %s", record.id, self._worker.pid)
        self._worker.send(command)

    def _earlier(self, record: Record, base: UUID) -> Record | None:
        """The base, unless it is somebody else's: their frames must not get into this result."""
        found = self.service.store.get(base)
        return found if found is not None and record.owner in ("", found.owner) else None

    def _command(self, record: Record) -> Run:
        body = record.body
        now: Record | Brief = record
        engine = find_engine(body.engine)
        weights = find_weight_set(engine, body.weights)
        base: UUID | None = None
        changed: tuple[int, ...] = ()
        sources: tuple[int | None, ...] = ()
        base_frames = 0
        if body.base_job is not None:
            earlier = self._earlier(record, body.base_job)
            weights_hash = tree_hash(self._weights_folder(weights.id))
            plan = plan_base(body, earlier, self.service.folder, engine, weights_hash)
            if isinstance(plan, BasePlan) and earlier is not None:
                base_frames = earlier.body.frames
                base, changed, sources = plan.job, plan.changed, plan.sources
                now = self.service.set_stale(record.id, plan.stale)
            elif isinstance(plan, str) and plan not in record.notes:
                now = self.service.note(record.id, plan)
        return Run(
            job=record.id,
            body=body.model_dump(mode="json"),
            weights_folder=self._weights_folder(weights.id),
            demo=weights.demo,
            low_memory=now.low_memory,
            base=base,
            changed=changed,
            sources=sources,
            base_frames=base_frames,
        )

    def _hear(self, report: Any) -> None:
        current = self._current
        if isinstance(report, Ready):
            self.device = report.device
            assert self._worker is not None
            self._worker.ready = True
            self._idle_since = time.monotonic()
        if current is None or getattr(report, "job", None) != current.record.id:
            return
        current.heard = time.monotonic()
        job = current.record.id
        match report:
            case Advanced():
                current.place = f"{report.stage} {report.step} {report.frames_done}"
                self.service.advance(job, report.stage, report.step, report.steps, report.frames_done, report.part)
                if self.device is not None and report.memory_free is not None:
                    self.device = {**self.device, "memory_free": report.memory_free}
            case FrameDone():
                self.service.frame_done(job, report.frame)
            case Note():
                self.service.note(job, report.text, low_memory=report.low_memory, in_full=report.in_full)
            case Done():
                self.service.finish(job, JobResult.model_validate(report.result))
                self._ended()
            case Failed():
                if report.unexpected:
                    self._worker = None  # it ends by itself, and the device may only be fine for another process
                    if job not in self.service.cancelling and self._again(current, report.detail):
                        return
                self.service.fail(job, report.detail, report.fix, report.code)
                self._ended()
            case Stopped():
                self.service.cancelled(job)
                self._ended()

    def _ended(self) -> None:
        self._current = None
        self._idle_since = time.monotonic()
        self._clean_at = min(self._clean_at, time.monotonic() + CLEAN_SOON)

    # the process

    def _start_worker(self) -> WorkerProcess:
        options = self.options
        command = [*options.command, "--data-dir", str(self.service.folder.root)]
        command += [*options.engine.arguments(), "--disk-reserve", str(options.disk_reserve)]
        if options.signing is not None:
            certificate, key = options.signing
            command += ["--signing-cert", str(certificate), "--signing-key", str(key)]
        log_path = self.service.folder.logs / "worker.log"
        return WorkerProcess(command, log_path, lambda worker, report: self._inbox.put((worker, report)))

    def _gone(self, worker: WorkerProcess) -> None:
        """The worker has ended. Its job goes on in a new one, unless it ended at this very place before."""
        self._worker = None
        current, self._current = self._current, None
        self._idle_since = time.monotonic()
        if current is None:
            log.info("worker %s has ended", worker.pid)
            return
        job, why = current.record.id, worker.why_ended()
        log.warning("worker %s ended during job %s at %s: %s", worker.pid, job, current.place, why)
        record = self.service.record(job)
        if self.service.finish_if_complete(record):
            return
        if job in self.service.cancelling:
            self.service.cancelled(job)
            return
        if self.service.folder.free_bytes() < max(self.options.disk_reserve, FULL):
            full = disk_full(self.service.folder)  # a write to mapped memory then ends the process (SIGBUS)
            self.service.fail(job, full.message, full.fix, full.code)
            return
        if not self._again(current, why):
            often = (
                "twice at the same place" if record.died_at == current.place else f"{current.ends + 1} times, at last"
            )
            detail = f"The computing process ended {often} ({current.place}): {why}"
            self.service.fail(job, detail, WORKER_DIED_FIX, "worker-died")

    def _again(self, current: Current, why: str) -> bool:
        """Start the job in a new worker, unless one ended at this very place before, or too many have ended."""
        job = current.record.id
        if self.service.record(job).died_at == current.place or current.ends + 1 >= MOST_ENDS:
            return False
        text = f"The computing process ended at {current.place} and was started again: {why.rstrip('.')}."
        record = self.service.note(job, text, died_at=current.place)
        self.service.restart_meter(record)
        self._current = None
        self._begin(self.service.full(job), current.ends + 1)
        return True

    def _watch(self) -> None:
        """End what does not answer."""
        current, worker, now = self._current, self._worker, time.monotonic()
        if current is None or worker is None:
            return
        job = current.record.id
        if job in self.service.cancelling and current.cancel_deadline is None:
            current.cancel_deadline = now + self.options.cancel_wait
            worker.send(Cancel(job))
        if current.cancel_deadline is not None and now > current.cancel_deadline:
            current.cancel_deadline = float("inf")
            worker.kill("it did not stop when the job was cancelled")
        elif now - current.heard > self.options.step_limit:
            current.heard = float("inf")
            worker.kill(f"it gave no sign for {self.options.step_limit:.0f} s")

    def _rest(self) -> None:
        """Clean up now and then, and free the device when there is nothing to do."""
        now = time.monotonic()
        if now >= self._clean_at:
            self._clean_at = now + CLEAN_EVERY
            self._clean_up()
        if self._current is not None:
            return
        idle = now - self._idle_since > self.options.idle_unload
        if self._worker is not None and self._worker.ready and (idle or self._unload.is_set()):
            log.info("worker %s is stopped, its memory is free", self._worker.pid)
            self._end_worker(self._worker, self.options.cancel_wait)
        self._unload.clear()

    def _clean_up(self) -> None:
        """In a thread of its own: deleting long clips takes seconds, in which a worker may have to be ended."""
        if self._cleaning is not None and self._cleaning.is_alive():
            return

        def clean() -> None:
            try:
                self._cleaner.run()
            except Exception:
                log.exception("clean-up ended early; it runs again in %.0f minutes", CLEAN_EVERY / 60)

        self._cleaning = threading.Thread(target=clean, name="clean-up", daemon=True)
        self._cleaning.start()

    def _end_worker(self, worker: WorkerProcess, wait: float) -> None:
        worker.send(Stop())
        if not worker.wait(wait):
            worker.kill("it did not stop when told to")
            worker.wait(5)
        self._worker = None

    def _shut_down(self) -> None:
        if self._worker is not None:
            self._end_worker(self._worker, min(self.options.cancel_wait, STOP_WAIT))
        if self._current is None:
            return
        record = self.service.record(self._current.record.id)
        self._current = None
        if self.service.finish_if_complete(record):
            return
        if record.id in self.service.cancelling:
            self.service.cancelled(record.id)
        else:
            self.service.requeue(record)
