"""`python -m inference_server train demo | finetune`: make the demo weights, or teach weights your own clips."""

import argparse
import os
from dataclasses import replace
from pathlib import Path

from inference_server.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", required=True)
    demo = kinds.add_parser("demo", help="train the demo weights from nothing, on synthetic characters")
    demo.add_argument("--size", type=int, default=128, help="picture size, a multiple of 64 (default: 128)")
    finetune = kinds.add_parser("finetune", help="go on training a checkpoint on your own clips")
    finetune.add_argument("clips", type=Path, help="folder with videos/NAME.mp4 and maps/NAME.mp4 (or folders of PNGs)")
    finetune.add_argument("--weights", type=Path, required=True, help="checkpoint folder to start from")
    finetune.add_argument("--size", type=int, default=None, help="picture size (default: the weights' own)")
    finetune.add_argument("--frames", type=int, default=8, help="frames per clip and step (default: 8)")
    finetune.add_argument("--learning-rate", type=float, default=1e-5)
    for kind in (demo, finetune):
        kind.add_argument("--out", type=Path, required=True, help="folder of the run; the result is OUT/checkpoint")
        kind.add_argument("--minutes", type=float, default=None, help="training time, shared out among the stages")
        kind.add_argument("--steps", type=int, default=None, help="optimiser steps of the longest stage")
        kind.add_argument("--resume", action="store_true", help="go on with the run that OUT holds")
        kind.add_argument("--device", default="auto", help="auto, cpu or cuda")


def run(args: argparse.Namespace) -> int:
    if (args.out / "clips").exists() and not args.resume:
        raise UserError(
            f"{args.out} already holds a run",
            fix="Add --resume to go on with it, or name a new folder.",
            code="run-exists",
        )
    if args.size is not None and (args.size < 64 or args.size % 64):
        raise UserError(f"{args.size} is no picture size", fix="Use a multiple of 64.", code="size-multiple")
    import torch

    from inference_server.engines.device import pick_device

    device = pick_device(args.device)
    if device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # at this size a second thread costs more than it brings
    say = lambda line: print(line, flush=True)  # noqa: E731
    if args.kind == "demo":
        from inference_server.training.demo import DemoTraining, recipe_for

        recipe = recipe_for(device, minutes=args.minutes, steps=args.steps)
        result = DemoTraining(args.out, replace(recipe, size=args.size), say).run()
    else:
        from inference_server.training.finetune import Finetuning

        result = Finetuning(args, device, say).run()
    say(f"checkpoint: {result}")
    return 0
