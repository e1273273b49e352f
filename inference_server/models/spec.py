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
