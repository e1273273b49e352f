"""What a job's thread tells of it: the snapshot for panels and the record on disk, which change together."""

import contextlib
import dataclasses
from typing import Any

from ..client import ClientError, Job
from .record import Record, ResultFolder
from .states import NEXT, Snapshot, State

STAGES = {
    "waiting": "Starting the engine",
    "loading": "Loading weights",
    "preparing": "Preparing",
    "denoising": "Animating",
    "decoding": "Decoding frames",
    "writing": "Writing the video",
}


class Status:
    """Written by one thread; others read `snapshot` and `record`, which are replaced as a whole."""

    def __init__(self, folder: ResultFolder, record: Record, *, retry: bool) -> None:
        self.folder = folder
        self.record = record
        ended = record.state in (State.FAILED, State.CANCELLED) and not retry
        begin = State.STARTING if record.maps else State.DRAWING
        self.snapshot = Snapshot(
            record.state if ended else begin,
            record.spec.frames,
            message=record.problem if ended else "",
            notes=record.notes,
        )

    @property
    def state(self) -> State:
        return self.snapshot.state

    def show(self, **changes: Any) -> None:
        self.snapshot = dataclasses.replace(self.snapshot, **changes)

    def enter(self, state: State, **changes: Any) -> None:
        """Show another state, which begins without progress or message, or changes of the present one."""
        if state is not self.state:
            if state not in NEXT[self.state]:
                raise RuntimeError(f"{self.state.value} -> {state.value}")
            changes = {"fraction": 0.0, "message": "", "fix": "", "code": "", "step": 0, "steps": 0, **changes}
        self.show(state=state, **changes)

    def show_job(self, job: Job) -> None:
        """Show a queued or running job as the server tells it."""
        progress, running = job.progress, job.state == "running"
        self.enter(
            State.RUNNING if running else State.QUEUED,
            stage=STAGES[progress.stage] if running else "",
            step=progress.step,
            steps=progress.steps,
            frames_done=progress.frames_done,
            fraction=progress.fraction,
            eta_s=progress.eta_s,
            position=None if running else job.position,
            wait_s=None if running else job.wait_s,
            notes=self.notes_with(job),
        )

    def show_problem(self, error: ClientError) -> None:
        """A trouble that passes: the job goes on."""
        self.enter(State.STARTING, code=error.code, stage="Looking for the server", message=str(error))

    def keep(self, **changes: Any) -> None:
        """Change the record, on disk too. Raises FileProblem."""
        self.record = dataclasses.replace(self.record, **changes)
        self.record.save(self.folder)

    def note(self, note: str) -> None:
        self.keep(notes=(*self.record.notes, note))
        self.show(notes=self.record.notes)

    def notes_with(self, job: Job) -> tuple[str, ...]:
        return (*self.record.notes, *(note for note in job.notes if note not in self.record.notes))

    def fail(self, error: ClientError) -> None:
        self.end(State.FAILED, message=error.detail, fix=error.fix, code=error.code)

    def end(self, state: State, *, message: str = "", fix: str = "", code: str = "") -> None:
        with contextlib.suppress(ClientError):  # a full disk is told by what failed on it first
            self.keep(state=state, problem=f"{message.rstrip('.')}. {fix}".strip() if state is State.FAILED else "")
        self.show(
            state=state,
            message=message,
            fix=fix,
            code=code,
            stage="",
            eta_s=None,
            cancelling=False,
            fraction=1.0 if state is State.DONE else self.snapshot.fraction,
            notes=self.record.notes,
        )
