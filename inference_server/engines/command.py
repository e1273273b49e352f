"""`animate`: a picture and part maps from files, frames and a video to a folder."""

import argparse
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from tqdm import tqdm

from inference_server.engines.magicanimate.info import MAGICANIMATE, MagicAnimateSettings
from inference_server.engines.protocol import Images, Progress, Task
from inference_server.errors import UserError
from inference_server.media.fit import fit_image, fit_labels
from inference_server.media.images import read_image, write_png
from inference_server.media.labels import read_label_clip
from inference_server.media.video import write_mp4
from inference_server.provenance.recipe import make_recipe, sha256_of, write_recipe

DEFAULT_FPS = 25.0
"""Of a folder of pictures, which has no rate of its own: the rate of the published sample videos."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings' defaults come from the engine."""
    default = MagicAnimateSettings()
    parser.add_argument("--weights", type=Path, required=True, metavar="DIR", help="folder of the checkpoint tree")
    parser.add_argument("--reference", type=Path, required=True, metavar="IMG", help="picture of the person")
    parser.add_argument(
        "--densepose",
        type=Path,
        required=True,
        metavar="VIDEO_OR_FOLDER",
        help="part maps: a video or a folder of PNGs",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for frames/, video.mp4 and recipe.json")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier result in --out")
    parser.add_argument("--size", type=parse_size, metavar="WxH", help="output size (default: what the weights want)")
    parser.add_argument(
        "--fit", choices=("pad", "crop", "stretch"), default="crop", help="how inputs come to that size"
    )
    parser.add_argument("--fps", type=float, help="frame rate of the video (default: the input's)")
    parser.add_argument("--steps", type=int, default=default.steps)
    parser.add_argument("--guidance", type=float, default=default.guidance_scale)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--shared-noise", type=float, default=default.shared_noise, help="0..1, of all frames")
    parser.add_argument("--windows", choices=("open", "original", "loop"), default=default.windows)
    parser.add_argument("--context", type=int, default=default.context_frames, help="frames per window")
    parser.add_argument("--overlap", type=int, default=default.context_overlap, help="frames shared by windows")
    parser.add_argument("--solver", choices=("ddim", "dpmpp_2m", "unipc"), default=default.solver)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    parser.add_argument("--dtype", default="auto", help="auto, fp32, fp16, bf16")
    parser.add_argument("--attention", choices=("auto", "sdpa", "xformers"), default="auto")


def parse_size(text: str) -> tuple[int, int]:
    """WxH in pixels."""
    width, _, height = text.lower().partition("x")
    try:
        return int(width), int(height)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write it as 512x768") from None


@dataclass(frozen=True)
class Inputs:
    """Files as arrays of one size."""

    reference: Images
    labels: Images
    fps: float


def run(args: argparse.Namespace) -> int:
    """Nothing is written before all inputs and weights are read. Raises UserError."""
    settings = read_settings(args)
    check_target(args.out, args.overwrite)
    picture, clip = read_image(args.reference), read_label_clip(args.densepose)

    from inference_server.engines.magicanimate.engine import MagicAnimateEngine  # torch, only when it is needed
    from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline

    engine = MagicAnimateEngine(
        args.weights,
        MagicAnimatePipeline.from_folder(args.weights, device=args.device, dtype=args.dtype, attention=args.attention),
    )
    width, height = args.size or engine.default_size
    inputs = Inputs(
        reference=fit_image(picture, width, height, args.fit),
        labels=np.stack([fit_labels(labels, width, height, args.fit) for labels in clip.labels]),
        fps=args.fps or clip.fps or DEFAULT_FPS,
    )
    write_result(args, settings, inputs, engine)
    return 0


def read_settings(args: argparse.Namespace) -> MagicAnimateSettings:
    """Raises UserError `bad-setting` naming the first setting that is out of range."""
    try:
        return MagicAnimateSettings(
            steps=args.steps,
            guidance_scale=args.guidance,
            seed=args.seed,
            shared_noise=args.shared_noise,
            solver=args.solver,
            windows=args.windows,
            context_frames=args.context,
            context_overlap=args.overlap,
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "settings"
        raise UserError(f"{name}: {first['msg']}", fix="Choose a value in range.", code="bad-setting") from error


def check_target(out: Path, overwrite: bool) -> None:
    """An existing result is only replaced when asked for. Raises UserError `out-exists`."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file", fix="Name a folder.", code="out-exists")
    if (out / "frames").exists() and not overwrite:
        raise UserError(
            f"{out} holds a result already", fix="Add --overwrite, or name another folder.", code="out-exists"
        )


def write_result(args: argparse.Namespace, settings: MagicAnimateSettings, inputs: Inputs, engine: Any) -> None:
    """Frames as they are decoded, then video and recipe; a run that is cut short leaves no folder that looks whole."""
    frames = args.out / "frames.part"
    shutil.rmtree(frames, ignore_errors=True)
    frames.mkdir(parents=True)
    task = Task(reference=inputs.reference, tracks={"densepose": inputs.labels}, settings=settings)
    try:
        with Bar() as bar:
            for number, image in engine.animate(task, bar.show):
                write_png(frames / f"{number:06}.png", image)
        written = sorted(frames.iterdir())
        write_mp4(args.out / "video.mp4", map(read_image, written), inputs.fps)
    except BaseException:
        shutil.rmtree(frames, ignore_errors=True)
        with suppress(OSError):  # the folder goes only if there was nothing in it before
            args.out.rmdir()
        raise
    shutil.rmtree(args.out / "frames", ignore_errors=True)
    frames.rename(args.out / "frames")
    height, width = inputs.reference.shape[:2]
    sources = (
        [args.densepose] if args.densepose.is_file() else sorted(p for p in args.densepose.iterdir() if p.is_file())
    )
    recipe = make_recipe(
        engine=MAGICANIMATE.id,
        weights=args.weights.name,
        settings=settings,
        reference=sha256_of(args.reference),
        tracks={"densepose": [sha256_of(path) for path in sources]},
        frames=len(written),
        size=(width, height),
        fps=inputs.fps,
        description=engine.describe(),
        inputs={"fit": args.fit},
    )
    write_recipe(args.out / "recipe.json", recipe)
    print(args.out / "video.mp4")


class Bar:
    """One bar per stage on stderr, with the time left."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._stage = ""

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, progress: Progress) -> None:
        """`Report` of the engine."""
        decoding = progress.stage == "decoding"
        done, total = (progress.frames_done, progress.frames) if decoding else (progress.step, progress.steps)
        if progress.stage != self._stage:
            if self._bar is not None:
                self._bar.close()
            self._stage = progress.stage
            self._bar = tqdm(total=total, desc=progress.stage, unit="frame" if decoding else "step", file=sys.stderr)
        assert self._bar is not None
        self._bar.total = total
        self._bar.update(done - self._bar.n)
