"""`python3 tools/dev.py demo --out DIR`: the whole way without a window, posed character in, video in its scene out.

Every part is the real one: the sample character, its part maps, the server as a process of its own that is spoken to
over HTTP, the add-on's job, and the textured plane. What it leaves in DIR:

    part_maps/000001.png ...   the DensePose labels of each frame, drawn from the rig
    frames/000001.png ...      what the server made of them and of reference.png
    video.mp4, recipe.json     the same as a clip, and how to get it again
    scene.blend                the scene with the clip on a plane before the camera
    contact_sheet.png          reference | part map | output of some frames
    summary.json               versions, frames, seconds per stage
"""

import argparse
import contextlib
import io
import json
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from PIL import Image

from inference_server.engines.registry import find_engine
from magicanimate_blender.animation import (
    Animation,
    Animations,
    JobSpec,
    OwnFiles,
    ResultFolder,
    State,
    replace_files,
)
from magicanimate_blender.client import Client, ClientError, sha256
from magicanimate_blender.densepose.errors import DensePoseError
from magicanimate_blender.raster.png import encode_labels
from magicanimate_blender.results import Clip, add_plane
from magicanimate_blender.results.placement import depth_before
from magicanimate_blender.scene.characters import Character, get_object, require_characters
from magicanimate_blender.scene.part_maps import part_maps
from magicanimate_blender.scene.sample_character import add_sample_scene
from magicanimate_blender.server_manager import Installation, LocalServer

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "magicanimate_blender/assets/sample_reference.png"
ENGINE, WEIGHTS = "magicanimate", "demo"
FRAMES = 24
FOLDERS = ("part_maps", "frames")
RESULT_FILES = ("video.mp4", "recipe.json", "reference.png")
SCENE, SHEET, SUMMARY = "scene.blend", "contact_sheet.png", "summary.json"
SHEET_FRAMES, SHEET_TILE = 6, 256


class Stages:
    """Seconds per stage, told as they begin and end."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        print(f"{name} ...", flush=True)
        begin = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - begin, 2)
        print(f"{name}: {self.seconds[name]:.1f} s", flush=True)


@dataclass(frozen=True)
class Shot:
    """A scene with a character, and the frames of it that are animated."""

    scene: bpy.types.Scene
    characters: list[Character]
    frames: range
    fps: float


def demo(out: Path, steps: int | None = None) -> dict[str, Any]:
    """Returns what summary.json says. steps: of denoising, the engine's default if None.

    Raises ClientError, DensePoseError; before anything is done where `out` holds files that are not an earlier demo's.
    """
    stage = Stages()
    OwnFiles(out).require((*RESULT_FILES, SCENE, SHEET, SUMMARY), FOLDERS)
    out.mkdir(parents=True, exist_ok=True)
    with stage("scene"):
        shot = sample_shot()
    suited = next(weights.recommended for weights in find_engine(ENGINE).weight_sets if weights.id == WEIGHTS)
    settings = dict(suited) if steps is None else {**suited, "steps": steps}
    size = animate(shot, out, stage, settings)
    with stage("plane"):
        add_result(shot, out, size)
    OwnFiles(out).note([SCENE])
    contact_sheet(out, len(shot.frames)).save(out / SHEET)
    summary = {
        "frames": len(shot.frames),
        "size": list(size),
        "fps": shot.fps,
        "weights": WEIGHTS,
        "seconds": stage.seconds,
        "seconds_total": round(sum(stage.seconds.values()), 2),
        "versions": {
            "python": platform.python_version(),
            "blender": bpy.app.version_string,
            **{name: version(name) for name in ("magicanimate-inference-server", "torch", "diffusers", "numpy")},
        },
    }
    (out / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n")
    OwnFiles(out).note([SHEET, SUMMARY])
    return summary


def sample_shot() -> Shot:
    """The sample scene; its whole action in FRAMES pictures."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    characters = require_characters(scene, [add_sample_scene(scene)])
    step = max(1, (scene.frame_end - scene.frame_start + 1) // FRAMES)
    frames = range(scene.frame_start, scene.frame_end + 1, step)
    return Shot(scene, characters, frames, scene.render.fps / scene.render.fps_base / step)


def animate(shot: Shot, out: Path, stage: Stages, settings: dict[str, Any]) -> tuple[int, int]:
    """Start a server, have the shot animated, leave the result's files in `out`. Returns width, height."""
    with tempfile.TemporaryDirectory() as work:
        server = LocalServer(Installation(Path(work, "server"), None, python=Path(sys.executable)))
        animations = Animations(Path(work, "results"), server, patience=30.0)
        try:
            with stage("server"):
                width, height = output_size(server.connect(print, threading.Event()))
            with stage("part maps"):
                drawn = part_maps(shot.scene, shot.characters, shot.frames, width, height)
                maps = [encode_labels(labels) for _, labels in drawn]
            with stage("animation"):
                reference = fitted_png(REFERENCE, width, height)
                spec = JobSpec(
                    engine=ENGINE,
                    weights=WEIGHTS,
                    reference=sha256(reference),
                    frames=len(shot.frames),
                    width=width,
                    height=height,
                    fps=shot.fps,
                    settings=settings,
                    consent=True,  # the sample picture shows nobody
                    name="Demo",
                    frame_start=shot.frames.start,
                    frame_step=shot.frames.step,
                )
                animation = animations.start(spec, reference)
                for frame, png in enumerate(maps):
                    animation.add_map(frame, png)
                wait_for(animation)
            keep_result(animation.folder, out)
        finally:
            animations.close()
            server.stop()
    return width, height


def add_result(shot: Shot, out: Path, size: tuple[int, int]) -> None:
    """The clip on a plane just before the character, saved as scene.blend with a path relative to it."""
    clip = Clip("demo", "Demo", out / "frames", len(shot.frames), size, shot.fps, start=shot.frames.start)
    meshes = [get_object(key) for character in shot.characters for key in character.meshes]
    add_plane(shot.scene, clip, depth=depth_before(shot.scene, meshes, shot.frames))
    bpy.ops.wm.save_as_mainfile(filepath=str(out / SCENE), relative_remap=True)


def output_size(client: Client) -> tuple[int, int]:
    """Width and height that the demo weights were trained at."""
    engine = next(engine for engine in client.engines() if engine.id == ENGINE)
    width, height = next(weights for weights in engine.weight_sets if weights.id == WEIGHTS).default_size
    return width, height


def fitted_png(picture: Path, width: int, height: int) -> bytes:
    data = io.BytesIO()
    Image.open(picture).convert("RGB").resize((width, height), Image.Resampling.BICUBIC).save(data, "PNG")
    return data.getvalue()


def wait_for(animation: Animation) -> None:
    """Poll the job to its end, as a render farm does, and say how far it is. Raises ClientError if it fails."""
    said = ""
    while not (now := animation.poll()).state.ended:
        line = f"  {now.title} {now.step}/{now.steps}" if now.steps else f"  {now.title}"
        if line != said:
            print(said := line, flush=True)
        time.sleep(0.1)
    if now.state is not State.DONE:
        raise ClientError(now.message or now.title, fix=now.fix, code=now.code)


def keep_result(folder: ResultFolder, out: Path) -> None:
    """In place of what an earlier run left in `out`. Raises FileProblem where that would touch other files."""
    sources = zip(FOLDERS, (folder.maps, folder.frames), strict=True)
    files = {f"{name}/{path.name}": path for name, source in sources for path in source.glob("*.png")}
    replace_files(OwnFiles(out), {**files, **{name: folder.path / name for name in RESULT_FILES}}, FOLDERS)


def contact_sheet(out: Path, frames: int) -> Image.Image:
    """One row per shown frame: reference, part map, output."""
    rows = []
    for frame in np.linspace(1, frames, SHEET_FRAMES).round().astype(int):
        paths = (out / "reference.png", out / f"part_maps/{frame:06d}.png", out / f"frames/{frame:06d}.png")
        tiles = [Image.open(path).convert("RGB").resize((SHEET_TILE, SHEET_TILE), Image.NEAREST) for path in paths]
        rows.append(np.concatenate([np.asarray(tile) for tile in tiles], axis=1))
    left, right = np.array_split(np.stack(rows), 2)
    return Image.fromarray(np.concatenate([np.concatenate(left), np.concatenate(right)], axis=1))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, help="denoising steps (default: the engine's)")
    args = parser.parse_args()
    out = args.out.resolve()
    try:
        summary = demo(out, args.steps)
    except (ClientError, DensePoseError, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    print(f"{summary['frames']} frames in {summary['seconds_total']:.0f} s: {out / 'contact_sheet.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
