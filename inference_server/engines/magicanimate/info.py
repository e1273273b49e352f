"""MagicAnimate as the server and the add-on see it: tracks, settings, weight sets."""

from typing import Literal, Self

from pydantic import Field, model_validator

from inference_server.engines.protocol import ConditionTrack, EngineInfo, EngineSettings, WeightSet


class MagicAnimateSettings(EngineSettings):
    """Settings of one run; defaults are the published ones, but for the window plan that does not wrap."""

    steps: int = Field(25, ge=1, le=200, title="Steps", description="Denoising steps; more is slower and finer")
    guidance_scale: float = Field(
        7.5, ge=0.0, le=30.0, title="Guidance", description="How strongly the reference picture is followed; 1 is off"
    )
    guided_share: float = Field(
        1.0, ge=0.0, le=1.0, title="Guided share", description="Part of the steps, from the first, that use guidance"
    )
    pose_strength: float = Field(
        1.0,
        ge=0.0,
        le=2.0,
        title="Pose strength",
        description="How strictly the part maps are followed; less frees the pose, 1 is as published",
    )
    seed: int = Field(1, ge=0, le=2**63 - 1, title="Seed", description="Same seed, same starting noise")
    redo_seed: int | None = Field(
        None,
        ge=0,
        le=2**63 - 1,
        title="Seed of redone frames",
        description="Other noise for frames computed again",
        json_schema_extra={"redo_only": True},
    )
    shared_noise: float = Field(
        0.0, ge=0.0, le=1.0, title="Shared noise", description="Part of the noise that all frames share; less flicker"
    )
    solver: Literal["ddim", "dpmpp_2m", "unipc"] = Field(
        "ddim", title="Solver", description="ddim as published; dpmpp_2m and unipc need fewer steps"
    )
    windows: Literal["open", "original", "loop"] = Field(
        "open",
        title="Windows",
        description="open: for clips; loop: for cyclic actions; original: wraps to the first frame, as published",
    )
    context_frames: int = Field(16, ge=2, le=24, title="Window", description="Frames computed together")
    context_overlap: int = Field(4, ge=0, le=23, title="Overlap", description="Frames shared by neighbouring windows")
    decoder: Literal["full", "small"] = Field(
        "full", title="Decoder", description="small: rougher pictures, sooner, where its weights (taesd) are there"
    )

    @model_validator(mode="after")
    def _overlap_is_shorter(self) -> Self:
        if self.context_overlap >= self.context_frames:
            raise ValueError("context_overlap must be smaller than context_frames")
        return self

    @property
    def guidance(self) -> list[float]:
        """Guidance scale of every step."""
        guided = round(self.steps * self.guided_share)
        return [self.guidance_scale] * guided + [1.0] * (self.steps - guided)


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
        WeightSet(
            id="demo",
            title="Demo weights",
            demo=True,
            size_multiple=64,
            default_size=(128, 128),
            # The published 7.5 burns their colours out, and frames with noise of their own flicker.
            recommended={"guidance_scale": 2.0, "shared_noise": 0.9},
        ),
    ),
    implementation="inference_server.engines.magicanimate.engine:load",
    carry_over="inference_server.engines.magicanimate.partial:carry_over",
)
