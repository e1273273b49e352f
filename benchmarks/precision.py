"""What half precision moves: `python benchmarks/precision.py`. PSNR against fp32 with the demo weights."""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from inference_server.engines.magicanimate.info import MAGICANIMATE  # noqa: E402
from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline  # noqa: E402
from inference_server.evaluation.held_out import characters  # noqa: E402
from inference_server.evaluation.metrics import psnr  # noqa: E402

SUITED = next(weights.recommended for weights in MAGICANIMATE.weight_sets if weights.demo)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=ROOT / "inference_server/assets/demo")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    clip = characters(1, args.frames)[0]
    frames = {}
    for dtype in ("fp32", "fp16", "bf16"):
        pipeline = MagicAnimatePipeline.from_folder(args.weights, device=args.device, dtype=dtype)
        frames[dtype] = pipeline(clip.references[0], clip.parts, steps=args.steps, **SUITED)
    report = {dtype: psnr(frames[dtype], frames["fp32"]) for dtype in ("fp16", "bf16")}
    print(json.dumps({"device": args.device, "steps": args.steps, "psnr_against_fp32": report}))


if __name__ == "__main__":
    main()
