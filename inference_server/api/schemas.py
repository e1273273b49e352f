"""Answers of the API that are not jobs."""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StrictBool

from inference_server.jobs.model import Notice, Wire


class Device(BaseModel):
    """Memory in bytes."""

    kind: str
    name: str
    memory_total: int | None
    memory_free: int | None


class WorkerInfo(BaseModel):
    state: Literal["stopped", "starting", "idle", "busy"]
    pid: int | None


class QueueInfo(BaseModel):
    paused: bool
    queued: int
    running: int


class LimitsInfo(BaseModel):
    """Largest upload in bytes, picture in pixels, clip in frames."""

    upload_bytes: int
    pixels: int
    frames: int


class ServerInfo(BaseModel):
    """`device` is null until the worker has been started once."""

    name: str
    version: str
    api: int
    pid: int
    uptime_s: float
    device: Device | None
    worker: WorkerInfo
    queue: QueueInfo
    limits: LimitsInfo
    admin: bool = Field(description="Whether this token's owner may pause, stop and unload, and sees everybody's jobs")
    notices: list[Notice] = Field(description="What the artist should know about this server")


class TrackInfo(BaseModel):
    name: str
    title: str
    description: str
    encoding: str


class WeightSetInfo(BaseModel):
    id: str
    title: str
    demo: bool
    size_multiple: int
    default_size: tuple[int, int] = Field(description="Width, height in pixels")
    recommended_settings: dict[str, Any] = Field(
        description="Settings that suit these weights better than the defaults"
    )
    state: Literal["ready", "missing", "invalid"]


class EngineInfo(BaseModel):
    id: str
    title: str
    tracks: list[TrackInfo]
    settings_schema: dict[str, Any] = Field(description="JSON Schema of the settings, with defaults and ranges")
    weight_sets: list[WeightSetInfo]


class TaskProblem(BaseModel):
    detail: str
    fix: str
    code: str


class DownloadInfo(BaseModel):
    """What runs or ran last on the set since the server started."""

    state: Literal["downloading", "verifying", "adding", "done", "failed", "cancelled"]
    done_bytes: int
    total_bytes: int
    problem: TaskProblem | None


class WeightsInfo(BaseModel):
    id: str
    title: str
    demo: bool
    state: Literal["ready", "missing", "invalid"]
    size_bytes: int
    licence: str
    licence_url: str
    accepted: bool
    download: DownloadInfo | None


class DownloadRequest(Wire):
    accept_licence: StrictBool = False


class PinRequest(Wire):
    pinned: StrictBool


class QueueRequest(Wire):
    """`order`: these queued jobs first, in this order; the others follow as they were."""

    paused: StrictBool | None = None
    order: list[UUID] | None = Field(default=None, max_length=100_000)
