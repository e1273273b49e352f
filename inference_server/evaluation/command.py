"""`python -m inference_server evaluate FOLDER`: score outputs against the truth, as JSON and as a page.

With `--held-out WEIGHTS` the folder is first filled: held-out synthetic characters, animated by those weights.
"""

import argparse
import json
from pathlib import Path

from inference_server.engines.magicanimate.info import MAGICANIMATE
from inference_server.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="a folder per clip: reference.png, maps, truth, output")
    parser.add_argument("--held-out", type=Path, metavar="WEIGHTS", help="first fill FOLDER with the demo examination")
    parser.add_argument("--characters", type=int, default=12, help="held-out characters (default: 12)")
    parser.add_argument("--steps", type=int, default=25, help="denoising steps for --held-out (default: 25)")
    suited = recommended_settings()
    parser.add_argument(
        "--guidance", type=float, default=suited["guidance_scale"], help="for --held-out (default: %(default)s)"
    )
    parser.add_argument(
        "--shared-noise", type=float, default=suited["shared_noise"], help="for --held-out (default: %(default)s)"
    )
    parser.add_argument(
        "--metric-weights", type=Path, help="folder with lpips.pt, fid_vid.pt, fvd.pt, if you have them"
    )


def recommended_settings() -> dict[str, float]:
    """What suits the demo weights."""
    return dict(next(weights for weights in MAGICANIMATE.weight_sets if weights.demo).recommended)


def run(args: argparse.Namespace) -> int:
    try:
        import matplotlib  # noqa: F401
        import skimage  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"Evaluation needs {error.name}",
            fix="Install it: pip install 'magicanimate-inference-server[evaluation]'.",
            code="missing-package",
        ) from error
    from inference_server.evaluation.baselines import BASELINES
    from inference_server.evaluation.clips import read_clips
    from inference_server.evaluation.examination import examine
    from inference_server.evaluation.learned import LearnedMetrics
    from inference_server.evaluation.report import write_report
    from inference_server.evaluation.score import summarise, summarise_baseline

    extra, variants = {}, {}
    if args.held_out:
        settings = {"steps": args.steps, "guidance_scale": args.guidance, "shared_noise": args.shared_noise}
        examination = examine(args.held_out, args.folder, args.characters, settings, say=print)
        extra, variants = {"examination": examination.to_json()}, examination.variants
    learned = LearnedMetrics(args.metric_weights)
    clips = read_clips(args.folder)
    summaries = {"output": summarise(clips, learned), **variants}
    for title, draw in BASELINES.items():
        summary = summarise_baseline(clips, draw, learned)
        if summary is not None:
            summaries[title] = summary
    scores = {"summary": {title: summary.to_json() for title, summary in summaries.items()}, **extra}
    (args.folder / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")
    write_report(args.folder / "report.html", clips, summaries)
    for title, summary in summaries.items():
        print(f"{title:24}", "  ".join(f"{k} {v:.3f}" for k, v in summary.mean.items()))
    for line in extra.get("examination", {}).get("lines", ()):
        print(line)
    print(f"written: {args.folder / 'scores.json'}, {args.folder / 'report.html'}")
    return 0
