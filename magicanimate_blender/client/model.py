"""What the server sends, as typed values; the fields are those of docs/api.md."""

import dataclasses
import functools
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from .errors import BadAnswer

T = TypeVar("T")
JobState = Literal["queued", "running", "done", "failed", "cancelled"]
Stage = Literal["waiting", "loading", "preparing", "denoising", "decoding", "writing"]
WeightsState = Literal["ready", "missing", "invalid"]


@dataclass(frozen=True)
class Problem:
    detail: str
    code: str = "unknown"
    fix: str = ""


@dataclass(frozen=True)
class Device:
    """Memory in bytes."""

    kind: str
    name: str
    memory_total: int | None = None
    memory_free: int | None = None


@dataclass(frozen=True)
class WorkerState:
    state: Literal["stopped", "starting", "idle", "busy"]
    pid: int | None = None


@dataclass(frozen=True)
class QueueState:
    paused: bool
    queued: int
    running: int


@dataclass(frozen=True)
class Limits:
    """Largest upload in bytes, picture in pixels, clip in frames."""

    upload_bytes: int
    pixels: int
    frames: int


@dataclass(frozen=True)
class ServerInfo:
    """notices: what the artist should know about the server, for example that its clock is not believed."""

    name: str
    version: str
    api: int
    pid: int
    uptime_s: float
    device: Device | None
    worker: WorkerState
    queue: QueueState
    limits: Limits
    notices: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Track:
    name: str
    title: str
    description: str
    encoding: str


@dataclass(frozen=True)
class WeightSet:
    """default_size: width, height in pixels; both are to be multiples of size_multiple.

    recommended_settings: those that suit these weights better than the engine's defaults.
    """

    id: str
    title: str
    demo: bool
    size_multiple: int
    default_size: tuple[int, int]
    state: WeightsState
    recommended_settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Engine:
    """settings_schema: JSON Schema of the settings, from which the panel is drawn."""

    id: str
    title: str
    tracks: tuple[Track, ...]
    settings_schema: dict[str, Any]
    weight_sets: tuple[WeightSet, ...]


@dataclass(frozen=True)
class Download:
    """state: downloading, verifying, adding, done, failed or cancelled."""

    done_bytes: int
    state: str
    total_bytes: int | None = None
    problem: Problem | None = None

    @property
    def running(self) -> bool:
        return self.state in ("downloading", "verifying", "adding")


@dataclass(frozen=True)
class Weights:
    id: str
    title: str
    demo: bool
    state: WeightsState
    size_bytes: int | None
    licence: str | None
    licence_url: str | None
    accepted: bool
    download: Download | None = None


@dataclass(frozen=True)
class JobProgress:
    """fraction 0..1 of the whole job; eta_s in seconds, None while unknown."""

    stage: Stage
    step: int
    steps: int
    frames_done: int
    frames: int
    fraction: float
    eta_s: float | None = None


@dataclass(frozen=True)
class JobResult:
    frames: int
    width: int
    height: int
    fps: float
    computed_frames: int
    seconds: float
    demo_weights: bool


@dataclass(frozen=True)
class Job:
    """Times are seconds since the epoch by the server's clock. wait_s: until a queued job is expected to start."""

    id: str
    state: JobState
    position: int | None
    pinned: bool
    created_at: float
    started_at: float | None
    finished_at: float | None
    body: dict[str, Any]
    progress: JobProgress
    notes: tuple[str, ...] = ()
    problem: Problem | None = None
    result: JobResult | None = None
    wait_s: float | None = None

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed", "cancelled")


def parse(kind: type[T], value: object) -> T:
    """`value` (from JSON) as `kind`: a dataclass of this module. Unknown keys are for later versions and ignored.

    Raises BadAnswer that names the first field which is missing or of another type.
    """
    return typing.cast(T, _convert(kind, value, kind.__name__))


def parse_list(kind: type[T], value: object) -> list[T]:
    """A JSON list of `kind`. Raises BadAnswer."""
    return list(typing.cast("tuple[T, ...]", _convert(tuple[kind, ...], value, f"list of {kind.__name__}")))  # type: ignore[valid-type]


@functools.cache
def _fields(kind: Any) -> list[tuple[str, Any, bool]]:
    """Name, type and whether it is required."""
    hints, missing = typing.get_type_hints(kind), dataclasses.MISSING
    return [
        (f.name, hints[f.name], f.default is missing and f.default_factory is missing) for f in dataclasses.fields(kind)
    ]


def _convert(kind: Any, value: object, where: str) -> object:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if isinstance(value, dict):
            return _convert_object(kind, value, where)
    elif origin is types.UnionType:  # only `X | None` is used above
        return None if value is None else _convert(arguments[0], value, where)
    elif origin is Literal:
        if value in arguments:
            return value
    elif origin is tuple and isinstance(value, list):
        if arguments[-1] is Ellipsis:
            return tuple(_convert(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
        if len(value) == len(arguments):
            return tuple(_convert(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(arguments, value, strict=True)))
    elif origin is dict:
        if isinstance(value, dict):
            return value
    elif kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif kind in (str, int, bool) and type(value) is kind:
        return value
    raise BadAnswer(f"The server's answer is not understood: {where} is {str(value)[:60]!r}")


def _convert_object(kind: Any, value: dict[str, object], where: str) -> object:
    found: dict[str, object] = {}
    for name, hint, required in _fields(kind):
        if name in value:
            found[name] = _convert(hint, value[name], f"{where}.{name}")
        elif required:
            raise BadAnswer(f"The server's answer is not understood: {where}.{name} is missing")
    return kind(**found)
