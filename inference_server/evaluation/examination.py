"""Everything that is measured of the demo weights on held-out characters, in one go."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inference_server.evaluation.clips import write_clip
from inference_server.evaluation.held_out import (
    FRAMES,
    NoiseBin,
    SwapResult,
    animate_all,
    animator,
    characters,
    load,
    noise_bins,
    swap_references,
    window_borders,
)
from inference_server.evaluation.score import Summary, summarise
from inference_server.training.networks import remove_motion

LONG_FRAMES, LONG_CHARACTERS = 48, 2
CONTEXT, OVERLAP = 16, 4
SWAP_FRAMES = 4  # colours need no motion


@dataclass(frozen=True)
class Examination:
    """variants: rows beside the model's own, by title. bins, swaps: see held_out."""

    variants: dict[str, Summary]
    bins: list[NoiseBin]
    swaps: list[SwapResult]

    @property
    def swapped(self) -> float:
        """Share of regions whose colour moved to the new reference's."""
        return float(np.mean([swap.moved_to_new for swap in self.swaps])) if self.swaps else float("nan")

    def to_json(self) -> dict[str, Any]:
        lines = [
            f"t={b.timestep}: noise error {b.right:.4f}, wrong map {b.wrong_map:.4f}, "
            f"another's reference {b.wrong_reference:.4f}, no reference {b.no_reference:.4f}"
            for b in self.bins
        ]
        lines.append(f"swapped references: {self.swapped:.0%} of {len(self.swaps)} regions took the new colour")
        return {
            "lines": lines,
            "bins": [asdict(b) for b in self.bins],
            "swapped": self.swapped,
            "swaps": len(self.swaps),
        }


def examine(
    weights: Path, folder: Path, count: int, chosen: dict[str, float], *, say: Callable[[str], None]
) -> Examination:
    """Write the held-out clips into `folder` and measure the variants: minutes on a CPU; `say` tells where it is.

    chosen: steps, guidance_scale, shared_noise.
    """
    pipeline = load(weights)
    size = int(pipeline.networks.vae.config.sample_size)
    settings = {**chosen, "context_frames": CONTEXT, "context_overlap": OVERLAP}
    animate = animator(pipeline, **settings)
    clips = characters(count, FRAMES, size=size)
    shown = []
    for clip in animate_all(clips, animate):
        write_clip(folder / clip.name, clip)
        shown.append(clip)
        say(f"{clip.name}: {FRAMES} frames")

    say("noise at every timestep, with right and wrong conditions")
    bins = noise_bins(pipeline, clips)
    say("swapped references")
    swaps = swap_references(
        [_first(clip, SWAP_FRAMES) for clip in clips], animate, [clip.output[:SWAP_FRAMES] for clip in shown]
    )
    few = clips[: max(2, count // 3)]
    variants = {f"first {len(few)} people": summarise(shown[: len(few)])}
    plain = animator(pipeline, **{**settings, "guidance_scale": 1.0})
    variants["guidance 1"] = summarise(list(animate_all(few, plain)))
    own = animator(pipeline, **{**settings, "shared_noise": 0.0})
    variants["no shared noise"] = summarise(list(animate_all(few, own)))
    later = lambda reference, parts: animate(reference, np.roll(parts, FRAMES // 2, axis=0))  # noqa: E731
    variants["map of another frame"] = summarise(list(animate_all(few, later)))
    long_clips = characters(min(count, LONG_CHARACTERS), LONG_FRAMES, size=size)
    for title, overlap in (("48 frames, overlap", OVERLAP), ("48 frames, no overlap", 0)):
        say(title)
        long = animator(pipeline, **{**settings, "context_overlap": overlap})
        borders = window_borders(LONG_FRAMES, CONTEXT, overlap)
        variants[title] = summarise(list(animate_all(long_clips, long, borders)))
    say("motion modules off")
    remove_motion(pipeline.networks.unet)
    variants["motion modules off"] = summarise(list(animate_all(few, animate)))
    return Examination(variants, bins, swaps)


def _first(clip: Any, frames: int) -> Any:
    return type(clip)(clip.frames[:frames], clip.parts[:frames], clip.references, clip.reference_parts)
