"""What a tweak costs, and what a draft gives up: `python benchmarks/regenerate.py`.

With the demo weights, on a synthetic person that training has not seen: a clip is animated, eight of its part maps are
moved a little, and only what changed is computed. Ratios within one run; prints JSON.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from inference_server.engines.magicanimate.engine import MagicAnimateEngine, load  # noqa: E402
from inference_server.engines.magicanimate.info import MagicAnimateSettings  # noqa: E402
from inference_server.engines.protocol import Base, Images, Task  # noqa: E402
from inference_server.evaluation.held_out import characters  # noqa: E402
from inference_server.evaluation.metrics import ssim  # noqa: E402
from inference_server.evaluation.person import pose_agreement  # noqa: E402
from inference_server.sampling.denoise import touching, widen  # noqa: E402
from inference_server.sampling.windows import plan_windows  # noqa: E402

DRAFT = {"steps": 10, "solver": "dpmpp_2m", "guided_share": 0.6}
CHANGED = 8


def window_share(frames: int, settings: MagicAnimateSettings) -> dict[str, float]:
    """Share of the windows that run when eight neighbouring frames change, over every place they can be in."""
    windows = plan_windows(frames, settings.context_frames, settings.context_overlap)
    shares = [
        len(touching(windows, widen(range(n, n + CHANGED), settings.context_overlap, frames))) / len(windows)
        for n in range(frames - CHANGED + 1)
    ]
    return {"least": min(shares), "mean": float(np.mean(shares)), "most": max(shares)}


def tweak(maps: Images, first: int) -> Images:
    """Eight frames move sideways and back, as after a changed key."""
    tweaked = maps.copy()
    for n, pixels in enumerate((1, 2, 4, 5, 5, 4, 2, 1)):
        tweaked[first + n] = np.roll(maps[first + n], pixels * maps.shape[2] // 128, axis=1)
    return tweaked


class Runner:
    """Runs of one clip, timed, with the UNet's calls counted."""

    def __init__(self, engine: MagicAnimateEngine, reference: Images) -> None:
        self.engine = engine
        self.reference = reference
        self.calls = 0
        engine.pipeline.networks.unet.register_forward_hook(self._count)

    def _count(self, *_: Any) -> None:
        self.calls += 1

    def __call__(
        self, maps: Images, settings: MagicAnimateSettings, trajectory: Path | None = None, base: Base | None = None
    ) -> tuple[dict[int, Images], float, int]:
        """(frames, seconds, UNet calls)."""
        self.engine.pipeline.store.clear()
        start, before = time.perf_counter(), self.calls
        task = Task(self.reference, {"densepose": maps}, settings, trajectory, base)
        frames = dict(self.engine.animate(task, lambda _progress: None))
        return frames, time.perf_counter() - start, self.calls - before


def stack(frames: dict[int, Images]) -> Images:
    return np.stack([frames[n] for n in sorted(frames)])


def difference(a: Images, b: Images) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def measure(args: argparse.Namespace) -> dict[str, Any]:
    clip = characters(1, args.frames)[0]
    run = Runner(load(args.weights, device="cpu", dtype="fp32"), clip.references[0])
    standard = MagicAnimateSettings(steps=args.steps)
    first = args.frames // 2
    tweaked, changed = tweak(clip.parts, first), frozenset(range(first, first + CHANGED))
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "trajectory"
        base, base_seconds, base_calls = run(clip.parts, standard, kept)
        partial, partial_seconds, partial_calls = run(tweaked, standard, base=Base(kept, changed))
    full, _, _ = run(tweaked, standard)
    other, _, _ = run(tweaked, with_settings(standard, seed=standard.seed + 1))
    draft, draft_seconds, _ = run(clip.parts, with_settings(standard, **DRAFT))

    index = sorted(partial)
    joined = stack({**base, **partial})
    steps = np.abs(np.diff(joined.astype(float), axis=0)).mean(axis=(1, 2, 3))
    borders = [steps[n] for n in (index[0] - 1, index[-1]) if 0 <= n < len(steps)]
    return {
        "frames": args.frames,
        "steps": args.steps,
        "changed": CHANGED,
        "computed": len(partial),
        "unet_calls": {"full": base_calls, "partial": partial_calls, "ratio": partial_calls / base_calls},
        "seconds": {"full": base_seconds, "partial": partial_seconds, "ratio": partial_seconds / base_seconds},
        "windows_of_128_frames": window_share(128, standard),
        "difference_from_full_run": difference(stack(partial), stack({n: full[n] for n in index})),
        "difference_of_another_seed": difference(
            stack({n: full[n] for n in index}), stack({n: other[n] for n in index})
        ),
        "seam_over_95th_percentile": max(borders) / float(np.percentile(steps, 95)),
        "draft": {
            "settings": DRAFT,
            "time_ratio": draft_seconds / base_seconds,
            "ssim_to_standard": ssim(stack(draft), stack(base)),
            "pose_agreement": pose_agreement(stack(draft), clip.parts),
            "pose_agreement_of_standard": pose_agreement(stack(base), clip.parts),
        },
    }


def with_settings(settings: MagicAnimateSettings, **changes: Any) -> MagicAnimateSettings:
    return settings.model_copy(update=changes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=ROOT / "inference_server/assets/demo")
    parser.add_argument("--frames", type=int, default=128)
    parser.add_argument("--steps", type=int, default=25)
    args = parser.parse_args()
    print(json.dumps(measure(args), indent=2))


if __name__ == "__main__":
    main()
