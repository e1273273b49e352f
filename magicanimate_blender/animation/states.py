"""The states of a job and what a panel shows of it."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class State(Enum):
    DRAWING = "drawing"
    """Part maps are being drawn and added."""
    STARTING = "starting"
    """The server is started, or is looked for again after it was lost."""
    UPLOADING = "uploading"
    QUEUED = "queued"
    RUNNING = "running"
    FETCHING = "fetching"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (State.DONE, State.FAILED, State.CANCELLED)

    @property
    def title(self) -> str:
        return TITLES[self]


TITLES = {
    State.DRAWING: "Drawing part maps",
    State.STARTING: "Starting the server",
    State.UPLOADING: "Sending to the server",
    State.QUEUED: "Waiting in the queue",
    State.RUNNING: "Animating",
    State.FETCHING: "Fetching frames",
    State.DONE: "Done",
    State.FAILED: "Failed",
    State.CANCELLED: "Cancelled",
}

_ENDS = {State.FAILED, State.CANCELLED}
NEXT: dict[State, set[State]] = {
    State.DRAWING: {State.STARTING, *_ENDS},
    State.STARTING: {State.UPLOADING, State.QUEUED, State.RUNNING, State.FETCHING, *_ENDS},
    State.UPLOADING: {State.STARTING, State.QUEUED, State.RUNNING, State.FETCHING, *_ENDS},
    State.QUEUED: {State.STARTING, State.RUNNING, State.FETCHING, *_ENDS},
    # A server that was restarted puts its running job back into the queue.
    State.RUNNING: {State.STARTING, State.QUEUED, State.FETCHING, *_ENDS},
    State.FETCHING: {State.STARTING, State.DONE, *_ENDS},
    State.DONE: set(),
    # `retry` goes on where it ended.
    State.FAILED: {State.DRAWING, State.STARTING},
    State.CANCELLED: {State.DRAWING, State.STARTING},
}
"""From each state, the states that may follow it."""


@dataclass(frozen=True)
class Snapshot:
    """A job at one moment, made to be drawn.

    wait_s: seconds until a queued job is expected to start, None while unknown.
    stage: what the server is doing, in words ("Loading weights"), empty when it does nothing for this job.
    fraction: 0..1 of the present state. eta_s: seconds until the frames are computed, None while unknown.
    message: a sentence on what is going on or wrong; fix: the way out; code: stable name of the problem, or "".
    plan: what will be computed, where the job has a base.
    preview: a small PNG, rewritten while the job runs: `preview_version` grows each time.
    frames_fetched: how many frames lie in the result's folder.
    """

    state: State
    frames: int
    stage: str = ""
    step: int = 0
    steps: int = 0
    frames_done: int = 0
    frames_fetched: int = 0
    fraction: float = 0.0
    eta_s: float | None = None
    message: str = ""
    fix: str = ""
    code: str = ""
    plan: str = ""
    notes: tuple[str, ...] = ()
    position: int | None = None
    wait_s: float | None = None
    preview: Path | None = None
    preview_version: int = 0
    cancelling: bool = False

    @property
    def title(self) -> str:
        """A few words on what is going on."""
        if self.cancelling and not self.state.ended:
            return "Cancelling"
        return self.stage or self.state.title
