"""What a tweak costs, and what a draft gives up: `python benchmarks/regenerate.py`.

With the demo weights, on a synthetic person that training has not seen: a clip is animated, eight of its part maps are
moved a little, and only what changed is computed, at the place where that costs most windows and at the one with the
smallest guard. Ratios within one run; prints JSON.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from inference_server.engines.magicanimate.engine import MagicAnimateEngine  # noqa: E402
from inference_server.engines.magicanimate.info import MAGICANIMATE, MagicAnimateSettings  # noqa: E402
from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline  # noqa: E402
from inference_server.engines.protocol import Base, Images, Task  # noqa: E402
from inference_server.evaluation.held_out import characters  # noqa: E402
from inference_server.evaluation.metrics import ssim  # noqa: E402
from inference_server.evaluation.person import pose_agreement  # noqa: E402
from inference_server.sampling.partial import plan_changes  # noqa: E402
from inference_server.sampling.windows import plan_windows  # noqa: E402
from inference_server.training.characters import Clip  # noqa: E402
from magicanimate_blender.animation.presets import DRAFT, ROUGH, Preset  # noqa: E402

CHANGED = 8
WEIGHTS = next(weights for weights in MAGICANIMATE.weight_sets if weights.demo)


class Places:
    """Every place in a clip where eight neighbouring frames can change, and what would be computed."""

    def __init__(self, frames: int, settings: MagicAnimateSettings) -> None:
        self.windows = plan_windows(frames, settings.context_frames, settings.context_overlap, settings.windows)
        self.plans = [
            plan_changes(self.windows, range(first, first + CHANGED), settings.context_overlap)
            for first in range(frames - CHANGED + 1)
        ]

    def shares(self) -> dict[str, float]:
        """Of the windows that run."""
        shares = [len(running) / len(self.windows) for running, _ in self.plans]
        return {"least": min(shares), "mean": float(np.mean(shares)), "most": max(shares)}

    def worst(self) -> list[int]:
        """First frames of the place of most windows and of that of the smallest guard."""
        numbers = range(len(self.plans))
        dearest = max(numbers, key=lambda n: len(self.plans[n][0]))
        barest = min(numbers, key=lambda n: (len(self.plans[n][1]), -len(self.plans[n][0])))
        return [dearest, barest]


def tweak(maps: Images, first: int) -> Images:
    """Eight frames move sideways and back, as after a changed key."""
    tweaked = maps.copy()
    for n, pixels in enumerate((1, 2, 4, 5, 5, 4, 2, 1)):
        tweaked[first + n] = np.roll(maps[first + n], pixels * maps.shape[2] // 128, axis=1)
    return tweaked


class Runner:
    """Runs of one clip, timed, with the UNet's windows counted."""

    def __init__(self, engine: MagicAnimateEngine, reference: Images) -> None:
        self.engine = engine
        self.reference = reference
        self.windows = 0
        engine.pipeline.networks.unet.register_forward_hook(self._count, with_kwargs=True)

    def _count(self, _unet: Any, inputs: tuple[Any, ...], named: dict[str, Any], _output: Any) -> None:
        self.windows += len(inputs[0]) // named["frames"]  # several may go through together

    def __call__(
        self,
        maps: Images,
        settings: MagicAnimateSettings,
        trajectory: Path | None = None,
        base: Base | None = None,
        reference: Images | None = None,
    ) -> tuple[dict[int, Images], float, int]:
        """(frames, processor seconds, which other programs disturb little, windows that the UNet predicted)."""
        self.engine.pipeline.store.clear()
        start, before = time.process_time(), self.windows
        picture = self.reference if reference is None else reference
        task = Task(picture, {"densepose": maps}, settings, trajectory, base)
        frames = dict(self.engine.animate(task, lambda _progress: None))
        return frames, time.process_time() - start, self.windows - before


def stack(frames: dict[int, Images]) -> Images:
    return np.stack([frames[n] for n in sorted(frames)])


def difference(a: Images, b: Images) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def measure_tweaks(run: Runner, clip: Clip, settings: MagicAnimateSettings) -> dict[str, Any]:
    frames = len(clip.parts)
    places = Places(frames, settings)
    other, _, _ = run(clip.parts, settings.model_copy(update={"seed": settings.seed + 1}))
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "trajectory"
        base, seconds, windows = run(clip.parts, settings, kept)
        tweaks = [measure_tweak(run, clip, settings, kept, base, first) for first in places.worst()]
    for each in tweaks:
        each["time_ratio"] = each["seconds"] / seconds
        each["windows_ratio"] = each["windows"] / windows
        index = slice(each["first"], each["first"] + CHANGED)
        each["difference_of_another_seed"] = difference(stack(base)[index], stack(other)[index])
    return {"windows": windows, "seconds": seconds, "windows_of_every_place": places.shares(), "tweaks": tweaks}


def measure_tweak(
    run: Runner, clip: Clip, settings: MagicAnimateSettings, kept: Path, base: dict[int, Images], first: int
) -> dict[str, Any]:
    tweaked, changed = tweak(clip.parts, first), frozenset(range(first, first + CHANGED))
    partial, seconds, windows = run(tweaked, settings, base=Base(kept, changed))
    full, _, _ = run(tweaked, settings)
    index = sorted(partial)
    steps = np.abs(np.diff(stack({**base, **partial}).astype(float), axis=0)).mean(axis=(1, 2, 3))
    borders = [steps[n] for n in (index[0] - 1, index[-1]) if 0 <= n < len(steps)]
    return {
        "first": first,
        "computed": [index[0], index[-1]],
        "windows": windows,
        "seconds": seconds,
        "difference_from_full_run": difference(stack(partial), stack({n: full[n] for n in index})),
        "seam_over_95th_percentile": max(borders) / float(np.percentile(steps, 95)),
    }


def measure_drafts(run: Runner, clip: Clip, settings: MagicAnimateSettings) -> dict[str, Any]:
    standard, seconds, _ = run(clip.parts, settings)
    rows = {"standard": {"pose_agreement": pose_agreement(stack(standard), clip.parts)}}
    for preset in (DRAFT, ROUGH):
        frames, draft_seconds = animate_as(run, clip, settings, preset)
        rows[preset.id] = {
            "size": list(WEIGHTS.default_size)
            if preset.size == 1
            else [part_of(side) for side in clip.parts.shape[:0:-1]],
            "time_ratio": draft_seconds / seconds,
            "ssim_to_standard": ssim(frames, stack(standard)),
            "pose_agreement": pose_agreement(frames, clip.parts),
        }
    return rows


def part_of(side: int) -> int:
    """Of the rough's pixels, as the panel rounds them."""
    return max(WEIGHTS.size_multiple, int(side * ROUGH.size / WEIGHTS.size_multiple) * WEIGHTS.size_multiple)


def animate_as(run: Runner, clip: Clip, settings: MagicAnimateSettings, preset: Preset) -> tuple[Images, float]:
    """Frames at the clip's own size, and the seconds they took at the preset's."""
    drafted = settings.model_copy(update=dict(preset.settings))
    if preset.size == 1:
        frames, seconds, _ = run(clip.parts, drafted)
        return stack(frames), seconds
    height, width = clip.parts.shape[1:]
    size = (part_of(width), part_of(height))
    maps = np.stack([resized(labels, size, Image.Resampling.NEAREST) for labels in clip.parts])
    reference = resized(clip.references[0], size, Image.Resampling.LANCZOS)
    frames, seconds, _ = run(maps, drafted, reference=reference)
    return np.stack([resized(each, (width, height), Image.Resampling.BICUBIC) for each in stack(frames)]), seconds


def resized(image: Images, size: tuple[int, int], how: Image.Resampling) -> Images:
    return np.asarray(Image.fromarray(image).resize(size, how))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=ROOT / "inference_server/assets/demo")
    parser.add_argument("--frames", type=int, default=128)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--what", nargs="+", choices=("tweaks", "drafts"), default=["tweaks", "drafts"])
    args = parser.parse_args()
    clip = characters(1, args.frames)[0]
    pipeline = MagicAnimatePipeline.from_folder(args.weights, device="cpu", dtype="fp32")
    run = Runner(MagicAnimateEngine(args.weights, pipeline), clip.references[0])
    settings = MagicAnimateSettings(steps=args.steps, **WEIGHTS.recommended)
    report: dict[str, Any] = {"frames": args.frames, "steps": args.steps, "changed": CHANGED}
    for what in args.what:
        report[what] = {"tweaks": measure_tweaks, "drafts": measure_drafts}[what](run, clip, settings)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
