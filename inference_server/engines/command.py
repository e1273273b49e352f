"""`animate`: a picture and part maps from files, frames and a video to a folder."""

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError
from tqdm import tqdm

from inference_server.data_dir import default_data_dir
from inference_server.engines.magicanimate.info import MAGICANIMATE, MagicAnimateSettings
from inference_server.engines.output import OutputFolder
from inference_server.engines.protocol import Images, Progress, Task, WeightSet
from inference_server.errors import UserError
from inference_server.media.fit import fit_image, fit_labels
from inference_server.media.images import read_image
from inference_server.media.labels import LabelClip, read_label_clip
from inference_server.media.video import check_fps
from inference_server.provenance.credentials import Credentials
from inference_server.provenance.identity import local_identity
from inference_server.provenance.recipe import make_recipe, sha256_of, write_recipe
from inference_server.weights.catalogue import CATALOGUE
from inference_server.weights.library import WeightsLibrary
from inference_server.weights.manifest import tree_hash

if TYPE_CHECKING:
    from inference_server.engines.magicanimate.largest_size import Room

DEFAULT_FPS = 25.0
"""Of a folder of pictures, which has no rate of its own: the rate of the published sample videos."""

SETTINGS = {
    "steps": "steps",
    "guidance": "guidance_scale",
    "pose_strength": "pose_strength",
    "seed": "seed",
    "shared_noise": "shared_noise",
    "windows": "windows",
    "context": "context_frames",
    "overlap": "context_overlap",
    "solver": "solver",
}
"""Options -> the engine's settings. One that is not given is what suits the weights, else the engine's default."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    default = MagicAnimateSettings()
    sets = ", ".join(each.id for each in MAGICANIMATE.weight_sets)
    parser.add_argument("--weights", required=True, metavar="SET_OR_DIR", help=f"{sets}, or a folder with such a tree")
    parser.add_argument("--reference", type=Path, required=True, metavar="IMG", help="picture of the person")
    parser.add_argument(
        "--densepose",
        type=Path,
        required=True,
        metavar="VIDEO_OR_FOLDER",
        help="part maps: a video or a folder of PNGs",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for frames/, video.mp4 and recipe.json")
    parser.add_argument("--consent", action="store_true", help="I have the right to use this person's picture")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier result in --out")
    parser.add_argument("--size", type=parse_size, metavar="WxH", help="output size (default: what the weights want)")
    parser.add_argument(
        "--fit", choices=("pad", "crop", "stretch"), default="crop", help="how inputs come to that size"
    )
    parser.add_argument("--fps", type=float, help="frame rate of the video (default: the input's)")
    settings = parser.add_argument_group("settings", "defaults are the weights' recommended ones, else as told here")
    settings.add_argument("--steps", type=int, help=str(default.steps))
    settings.add_argument("--guidance", type=float, help=str(default.guidance_scale))
    settings.add_argument("--pose-strength", type=float, help=f"{default.pose_strength}; 0..2, of the part maps")
    settings.add_argument("--seed", type=int, help=str(default.seed))
    settings.add_argument("--shared-noise", type=float, help=f"{default.shared_noise}; 0..1, of all frames")
    settings.add_argument("--windows", choices=("open", "original", "loop"), help=default.windows)
    settings.add_argument("--context", type=int, help=f"{default.context_frames}; frames per window")
    settings.add_argument("--overlap", type=int, help=f"{default.context_overlap}; frames shared by windows")
    settings.add_argument("--solver", choices=("ddim", "dpmpp_2m", "unipc"), help=default.solver)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    parser.add_argument("--dtype", default="auto", help="auto, fp32, fp16, bf16")
    parser.add_argument("--attention", choices=("auto", "sdpa", "xformers"), default="auto")


def parse_size(text: str) -> tuple[int, int]:
    """WxH in pixels."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write it as 512x768")
    return int(width), int(height)


@dataclass(frozen=True)
class Inputs:
    """Files as arrays of one size. off_palette: see `LabelClip`."""

    reference: Images
    labels: Images
    fps: float
    off_palette: float


def run(args: argparse.Namespace) -> int:
    """Every argument is checked before anything is computed or written. Raises UserError."""
    folder, weights = find_weights(args.weights)
    settings = read_settings(args, weights)
    ask_consent(agreed=args.consent)
    out = OutputFolder(args.out)
    out.check(overwrite=args.overwrite)
    if args.fps is not None:
        check_fps(args.fps)
    picture, clip = read_image(args.reference), read_label_clip(args.densepose)
    fps = check_fps(args.fps if args.fps is not None else clip.fps or DEFAULT_FPS)
    width, height = check_size(args, folder, settings, clip)

    from inference_server.engines.magicanimate.engine import MagicAnimateEngine  # torch, only when it is needed
    from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline

    pipeline = MagicAnimatePipeline.from_folder(folder, device=args.device, dtype=args.dtype, attention=args.attention)
    inputs = Inputs(
        reference=fit_image(picture, width, height, args.fit),
        labels=np.stack([fit_labels(labels, width, height, args.fit) for labels in clip.labels]),
        fps=fps,
        off_palette=clip.off_palette,
    )
    try:
        write_result(args, settings, inputs, MagicAnimateEngine(folder, pipeline), folder, out)
    except MemoryError as error:
        raise UserError(
            f"The memory of the device is full ({error})",
            fix="Choose a smaller --size, a shorter --context, or close other programs.",
            code="out-of-memory",
        ) from error
    return 0


def ask_consent(*, agreed: bool) -> None:
    """Raises UserError `consent-required` where nobody can answer, or where the answer is no."""
    if not agreed and sys.stdin.isatty():
        print("Do you have the right to use this person's picture? [y/N] ", end="", file=sys.stderr, flush=True)
        agreed = sys.stdin.readline().strip().lower() in ("y", "yes")
    if not agreed:
        raise UserError(
            "The right to use this person's picture was not stated",
            fix="Add --consent if you have it.",
            code="consent-required",
        )


def find_weights(given: str) -> tuple[Path, WeightSet | None]:
    """The folder, and the set that it is, if it is one of the catalogue's. Raises UserError `unknown-weights`."""
    library = WeightsLibrary(default_data_dir() / "weights")
    sets = {each.id: each for each in MAGICANIMATE.weight_sets}
    folder = Path(given)
    if not os.path.exists(folder) and given in sets:
        return library.folder_of(given), sets[given]
    if not os.path.isdir(folder):
        raise UserError(
            f"There are no weights {given}",
            fix=f"Name a folder that holds weights, or one of: {', '.join(sets)}.",
            code="unknown-weights",
        )
    return folder, next((sets[id] for id in sets if id in CATALOGUE and library.is_copy(id, folder)), None)


def read_settings(args: argparse.Namespace, weights: WeightSet | None) -> MagicAnimateSettings:
    """Raises UserError `bad-setting` naming the first setting that is out of range."""
    given = {name: value for option, name in SETTINGS.items() if (value := getattr(args, option)) is not None}
    recommended = dict(weights.recommended) if weights is not None else {}
    try:
        settings = MagicAnimateSettings(**{**recommended, **given})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "settings"
        raise UserError(f"{name}: {first['msg']}", fix="Choose a value in range.", code="bad-setting") from error
    used = {name: value for name, value in recommended.items() if name not in given}
    if used and weights is not None:
        told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in used.items())
        print(f"{weights.title}: with their recommended {told}", file=sys.stderr)
    return settings


def check_size(
    args: argparse.Namespace, folder: Path, settings: MagicAnimateSettings, clip: LabelClip
) -> tuple[int, int]:
    """Width and height of the result. Raises UserError for weights that do not fit, and as `Room.check` does."""
    room = open_room(folder, args.device, args.dtype)
    width, height = args.size or room.default_size
    room.check(width, height, frames=len(clip.labels), window=settings.context_frames, steps=settings.steps)
    return width, height


def open_room(folder: Path, device: str, dtype: str) -> "Room":
    from inference_server.engines.device import pick_device, pick_dtype
    from inference_server.engines.magicanimate.largest_size import Room
    from inference_server.engines.magicanimate.loader import check_tree

    where = pick_device(device)
    return Room(check_tree(folder), where, pick_dtype(dtype, where))


def write_result(
    args: argparse.Namespace,
    settings: MagicAnimateSettings,
    inputs: Inputs,
    engine: Any,
    weights: Path,
    out: OutputFolder,
) -> None:
    """Frames as they are decoded, then video and recipe."""
    reference, identity = sha256_of(args.reference), local_identity(default_data_dir() / "identity", print)
    credentials = Credentials(identity, engine=MAGICANIMATE.id, weights=weights.name, reference=reference)
    out.sign = credentials.sign_png
    task = Task(reference=inputs.reference, tracks={"densepose": inputs.labels}, settings=settings)
    with Bar() as bar:
        written = out.write_frames(engine.animate(task, bar.show))
    video = out.write_video(written, inputs.fps)
    credentials.sign_mp4(video)
    height, width = inputs.reference.shape[:2]
    sources = (
        [args.densepose] if args.densepose.is_file() else sorted(p for p in args.densepose.iterdir() if p.is_file())
    )
    recipe = make_recipe(
        engine=MAGICANIMATE.id,
        weights=weights.name,
        settings=settings,
        reference=reference,
        tracks={"densepose": [sha256_of(path) for path in sources]},
        frames=len(written),
        size=(width, height),
        fps=inputs.fps,
        description={**engine.describe(), "weights_hash": tree_hash(weights)},
        inputs={"fit": args.fit, "maps_off_palette": round(inputs.off_palette, 4)},
        signer=identity.fingerprint,
    )
    write_recipe(out.folder / "recipe.json", recipe)
    print(video)


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
