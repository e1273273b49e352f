"""What an engine is to the rest of the server. Nothing here imports torch."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Stage = Literal["loading", "preparing", "denoising", "decoding"]
Images = NDArray[np.uint8]


class EngineSettings(BaseModel):
    """Base of an engine's settings; its JSON Schema (defaults, ranges, titles) is what user interfaces draw."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


@dataclass(frozen=True)
class ConditionTrack:
    """A per-frame input that an engine asks for, for example DensePose part maps."""

    name: str
    title: str
    description: str
    encoding: Literal["densepose-labels"]
    """densepose-labels: indexed PNG, one label 0..24 per pixel, palette = the DensePose viridis table."""


@dataclass(frozen=True)
class WeightSet:
    """A named set of weights that an engine can load, for example the published one or the demo one."""

    id: str
    title: str
    demo: bool
    size_multiple: int
    default_size: tuple[int, int]
    """Width, height in pixels."""
    recommended: Mapping[str, Any] = field(default_factory=dict)
    """Settings that suit these weights better than the engine's defaults."""


@dataclass(frozen=True)
class EngineInfo:
    """What an engine needs and offers, known without loading it."""

    id: str
    title: str
    tracks: tuple[ConditionTrack, ...]
    settings: type[EngineSettings]
    weight_sets: tuple[WeightSet, ...]
    implementation: str
    """`module:function` of `load(folder, options) -> Engine`, see `EngineOptions`; imported in the worker only."""
    carry_over: str = ""
    """`module:function` of `carry_over(task) -> bool`, imported in the worker only: for a task whose base's frames
    only moved, write its kept steps and return True; False if a frame has to be computed. Loads no weights. Raises
    UserError `base-unusable`. An engine without one is loaded for such a task, too."""


@dataclass(frozen=True)
class Progress:
    """A snapshot of a run. Steps count denoising steps; frames count decoded frames."""

    stage: Stage
    step: int = 0
    steps: int = 0
    frames_done: int = 0
    frames: int = 0
    preview: Images | None = field(default=None, compare=False)
    """A small RGB picture (H, W, 3), now and then if `Task.previews`, or None."""
    part: float = 0.0
    """Of the denoising step at hand that is done, 0..1."""


Report = Callable[[Progress], None]
"""Called whenever something was computed, several times a step for a long clip.

Raises `inference_server.errors.Cancelled` to end the run.
"""


@dataclass(frozen=True)
class Base:
    """An earlier result of the same task, of which only `changed` frames (and a few around them) are computed anew.

    Frames in `keep` stay as they are even next to a changed one. sources: where frames were inserted, removed or
    moved in time, the earlier result's frame that each frame continues, None for one that has no forerunner; left
    out, frame n continues frame n. frames: of the earlier result, told along with sources.
    """

    trajectory: Path
    changed: frozenset[int]
    keep: frozenset[int] = frozenset()
    sources: tuple[int | None, ...] | None = None
    frames: int = 0


@dataclass(frozen=True)
class Task:
    """One animation: a picture, condition tracks and settings.

    reference: uint8 (H, W, 3), RGB, already H x W of the output.
    tracks: name -> uint8 (F, H, W) labels; all tracks have the same F, H, W.
    settings: an instance of the engine's settings class.
    trajectory: folder where latents of every step are kept; a run that finds its own there goes on from it.
    weights: hash of the weights that compute it (`weights.manifest.tree_hash`): latents of others are not built upon.
    previews: whether anybody looks at pictures of the unfinished clip, which are work to decode.
    """

    reference: Images
    tracks: Mapping[str, Images]
    settings: EngineSettings
    trajectory: Path | None = None
    base: Base | None = None
    weights: str = ""
    previews: bool = False


class Engine(Protocol):
    """A loaded engine. Owned by one worker process; not thread-safe."""

    info: EngineInfo

    def animate(self, task: Task, report: Report) -> Iterator[tuple[int, Images]]:
        """Yield (frame index, uint8 (H, W, 3) RGB) as frames are decoded; only computed ones if `task.base` is given.

        Raises UserError for a task it can't do (code `base-unusable` if only `task.base` is at fault: run it again
        without; `overflow` if the number format is: run it again in fp32), Cancelled if `report` does, MemoryError or
        whatever `is_out_of_memory` knows when the device is full.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Versions, device, dtype and weight hashes, for the recipe."""
        ...
