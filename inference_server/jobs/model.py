"""What a job is, as the HTTP contract says it (docs/api.md) and as it is kept."""

from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints, model_validator

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(max_length=200)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
FrameIndex = Annotated[int, Field(ge=0, le=2**31)]

State = Literal["queued", "running", "done", "failed", "cancelled"]
Stage = Literal["waiting", "loading", "preparing", "denoising", "decoding", "writing"]
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")


class Wire(BaseModel):
    """Base of what travels: unknown fields are refused, NaN and infinity too."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class JobBody(Wire):
    """What a client asks for. Hashes name uploaded blobs; `consent` is the artist's word on the picture's rights."""

    engine: Slug
    weights: Slug
    reference: Sha256 = Field(description="PNG or JPEG, already cropped to the output size")
    tracks: dict[Slug, Annotated[list[Sha256], Field(min_length=1)]] = Field(
        description="Track name -> one map per frame, for example densepose"
    )
    fps: float = Field(default=24.0, ge=0.01, le=1000)
    settings: dict[str, Any] = Field(default_factory=dict, description="By the engine's settings_schema")
    consent: StrictBool = Field(description="I have the right to use this person's picture")
    name: Name = ""
    group: Name | None = None
    base_job: UUID | None = Field(default=None, description="A finished job of which unchanged frames are taken")
    redo: list[FrameIndex] = Field(default_factory=list, description="Frames to compute although their map is the same")
    keep: list[FrameIndex] = Field(default_factory=list, description="Frames to take although their map has changed")

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if len({len(maps) for maps in self.tracks.values()}) != 1:
            raise ValueError("tracks must be given, and all must have the same number of frames")
        return self

    @property
    def frames(self) -> int:
        return len(next(iter(self.tracks.values())))

    def maps_of(self, frame: int) -> tuple[str, ...]:
        """Hashes of all tracks at a frame, in the order of track names."""
        return tuple(self.tracks[name][frame] for name in sorted(self.tracks))

    def outline(self) -> "JobOutline":
        return JobOutline(
            engine=self.engine,
            weights=self.weights,
            reference=self.reference,
            fps=self.fps,
            settings=self.settings,
            name=self.name,
            group=self.group,
            base_job=self.base_job,
            frames=self.frames,
        )


class JobOutline(Wire):
    """A job's body without its lists of frames, which take 70 kB at 1,000 frames: for lists and events."""

    engine: Slug
    weights: Slug
    reference: Sha256
    fps: float
    settings: dict[str, Any]
    name: Name = ""
    group: Name | None = None
    base_job: UUID | None = None
    frames: int


class JobProgress(Wire):
    stage: Stage = "waiting"
    step: int = 0
    steps: int = 0
    frames_done: int = 0
    frames: int = 0
    fraction: float = Field(default=0.0, ge=0, le=1, description="Of the whole job")
    eta_s: float | None = None


class JobProblem(Wire):
    """Why a job failed; `fix` is the way out in one sentence."""

    detail: str
    fix: str
    code: str


class Notice(Wire):
    """What the artist should know about the server itself; `fix` is what can be done about it."""

    code: str
    detail: str
    fix: str


class JobResult(Wire):
    frames: int
    width: int
    height: int
    fps: float
    computed_frames: int
    seconds: float
    demo_weights: bool


class JobFacts(Wire):
    """Times are seconds since the epoch. `position` counts the jobs ahead of a queued one."""

    id: UUID
    state: State
    position: int = 0
    wait_s: float | None = Field(default=None, description="Expected seconds until a queued job is started")
    pinned: bool = False
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    progress: JobProgress
    notes: list[str] = Field(default_factory=list)
    problem: JobProblem | None = None
    result: JobResult | None = None


class Job(JobFacts):
    """A job with all that was asked for."""

    body: JobBody


class JobSummary(JobFacts):
    """A job as lists and events show it: `body` is without tracks, redo and keep, and tells the number of frames."""

    body: JobOutline
