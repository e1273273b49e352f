"""What tells one engine's networks from another's, as data."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ModelSpec:
    """How an engine departs from plain Stable Diffusion 1.5. Sizes are not here: they come from config.json files.

    norm_across_frames: the UNet's resnet and output GroupNorms take their statistics over all frames of a window.
    motion_in_mid: the mid block has a motion module between its transformer and its last resnet.
    max_window: length of the motion modules' position table, hence the longest window in frames.
    reference_blocks: transformer blocks that read the reference: `mid_up` or `full` (down blocks too).
    """

    norm_across_frames: bool
    motion_in_mid: bool
    max_window: int
    reference_blocks: Literal["mid_up", "full"]

    def reads_reference(self, block: str) -> bool:
        """Whether the transformer block with this module path takes part in reference attention."""
        return self.reference_blocks == "full" or not block.startswith("down_blocks")


MAGICANIMATE = ModelSpec(norm_across_frames=True, motion_in_mid=False, max_window=24, reference_blocks="mid_up")


@dataclass(frozen=True)
class Sharing:
    """Work that is provably equal and so done once: every switch changes cost, never results (but for float order).

    guidance_halves: conv_in, the down blocks and mid resnet 0 run once for both halves of classifier-free guidance,
        which are equal until the reference is read because both prompts are empty.
    plain_half_once: the unconditional half attends to itself only, instead of to the reference as well and then again.
    reference_projection: reference tokens go through to_k and to_v once per step, not once per frame and window.
    appearance_single: the appearance encoder runs one row instead of both guidance rows.
    hint_once: the ControlNet's hint encoder, which does not see the timestep, runs once per job.
    text_projection: keys and values of the constant prompt are computed once per job.
    reference_schedule: reference tokens of all timesteps are made before the loop and kept between jobs.
    real_frames_only: frames that were added as padding are not decoded.
    """

    guidance_halves: bool = True
    plain_half_once: bool = True
    reference_projection: bool = True
    appearance_single: bool = True
    hint_once: bool = True
    text_projection: bool = True
    reference_schedule: bool = True
    real_frames_only: bool = True

    @classmethod
    def none(cls) -> "Sharing":
        """Everything computed as often as the original does: the yardstick for tests and benchmarks."""
        return cls(**dict.fromkeys(cls.__dataclass_fields__, False))
