"""MagicAnimate as the server and the add-on see it: tracks, settings, weight sets."""

from typing import Literal

from pydantic import Field

from inference_server.engines.protocol import ConditionTrack, EngineInfo, EngineSettings, WeightSet


class MagicAnimateSettings(EngineSettings):
    """Settings of one run; defaults are the published ones, but for the window plan that does not wrap."""

    steps: int = Field(25, ge=1, le=200, title="Steps", description="Denoising steps; more is slower and finer")
    guidance_scale: float = Field(
        7.5, ge=0.0, le=30.0, title="Guidance", description="How strongly the reference picture is followed; 1 is off"
    )
    seed: int = Field(1, ge=0, le=2**63 - 1, title="Seed", description="Same seed, same starting noise")
    windows: Literal["open", "original", "loop"] = Field(
        "open",
        title="Windows",
        description="open: for clips; loop: for cyclic actions; original: wraps to the first frame like the paper's code",
    )
    context_frames: int = Field(16, ge=2, le=24, title="Window", description="Frames computed together")
    context_overlap: int = Field(4, ge=0, le=23, title="Overlap", description="Frames shared by neighbouring windows")


MAGICANIMATE = EngineInfo(
    id="magicanimate",
    title="MagicAnimate",
    tracks=(
        ConditionTrack(
            name="densepose",
            title="DensePose part maps",
            description="Body part of every pixel, drawn from the rig",
            encoding="densepose-labels",
        ),
    ),
    settings=MagicAnimateSettings,
    weight_sets=(
        WeightSet(id="magicanimate", title="MagicAnimate", demo=False, size_multiple=64, default_size=(512, 512)),
        WeightSet(id="demo", title="Demo weights", demo=True, size_multiple=64, default_size=(128, 128)),
    ),
    implementation="inference_server.engines.magicanimate.engine:load",
)
