"""What the server and its worker process say to each other: one JSON object a line over a pipe."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter


@dataclass(frozen=True)
class Run:
    """Do a job. With `base` given, only `changed` frames (and what the engine needs around them) are computed.

    sources: the base's frame that each frame continues; empty without a base.
    """

    job: UUID
    body: dict[str, Any]
    weights_folder: Path
    demo: bool
    low_memory: bool
    base: UUID | None = None
    changed: tuple[int, ...] = ()
    sources: tuple[int | None, ...] = ()
    base_frames: int = 0

    @property
    def retimed(self) -> bool:
        """Whether frames of the base moved or their number changed; the engine then writes the steps anew."""
        return self.sources != tuple(range(self.base_frames))


@dataclass(frozen=True)
class Cancel:
    job: UUID


@dataclass(frozen=True)
class Stop:
    """End after the step at hand; what the trajectory holds is kept."""


@dataclass(frozen=True)
class Ready:
    """The worker can take jobs. Memory in bytes."""

    device: dict[str, Any]


@dataclass(frozen=True)
class Advanced:
    """A step, a part of one, or a frame was finished."""

    job: UUID
    stage: str
    step: int
    steps: int
    frames_done: int
    frames: int
    memory_free: int | None = None
    part: float = 0.0
    """Of the step at hand that is done, 0..1."""


@dataclass(frozen=True)
class FrameDone:
    job: UUID
    frame: int


@dataclass(frozen=True)
class Note:
    job: UUID
    text: str
    low_memory: bool = False
    """The job is from now on done with the smaller-memory settings."""
    in_full: bool = False
    """The job no longer uses its base."""


@dataclass(frozen=True)
class Done:
    job: UUID
    result: dict[str, Any]


@dataclass(frozen=True)
class Failed:
    job: UUID
    detail: str
    fix: str
    code: str
    unexpected: bool = False
    """Nobody knows what state the process and its device are in: it ends right after this."""


@dataclass(frozen=True)
class Stopped:
    """The job was cancelled, or the worker was told to stop."""

    job: UUID


Command = Run | Cancel | Stop
Report = Ready | Advanced | FrameDone | Note | Done | Failed | Stopped
KINDS: dict[str, Any] = {
    kind.__name__: TypeAdapter(kind)
    for kind in (Run, Cancel, Stop, Ready, Advanced, FrameDone, Note, Done, Failed, Stopped)
}


def encode(message: Command | Report) -> bytes:
    """One line."""
    return json.dumps({"kind": type(message).__name__, **asdict(message)}, default=str).encode() + b"\n"


def decode(line: bytes) -> Any:
    """Raises ValueError for what is no message."""
    value = json.loads(line)
    try:
        return KINDS[value.pop("kind")].validate_python(value)
    except (KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"no message: {line[:100]!r}") from error
