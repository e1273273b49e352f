"""`blender -b scene.blend --command magicanimate animate | export-maps ...`: for render farms and scripts."""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from pathlib import Path

import bpy

from ..animation import PRESETS, Animation, OwnFiles, ResultFolder, Snapshot, State, replace_files
from ..client import ClientError, FileProblem
from ..densepose.errors import DensePoseError
from ..scene.errors import SceneError
from ..scene.export import MAP_KINDS, export_part_maps
from . import engine_settings, engines, flow, messages, timer
from .delivery import Delivery
from .operators.character import video_size
from .operators.export import write_video
from .operators.reference import load_picture
from .panels.animate import progress_text
from .preferences import preferences
from .request import characters_of, frames_of
from .runtime import runtime

COMMAND = "magicanimate"
DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
"""Exit statuses."""
FOLDERS, FILES = ("frames", "part_maps"), ("video.mp4", "recipe.json")
"""What `animate` writes into --out."""
TICK = 0.05

_registered: object = None


def run(arguments: list[str]) -> int:
    """One command. Returns its exit status; problems are one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a log that is watched gets each line at once, and any name
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    messages.clear()
    try:
        args = parser().parse_args(arguments)
    except SystemExit as end:  # argparse has said why
        return end.code if isinstance(end.code, int) else BAD_INPUT
    try:
        return args.run(args)
    except (ClientError, DensePoseError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("cancelled", file=sys.stderr)
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="blender -b FILE.blend --command magicanimate", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("animate", help="animate a picture by the character of the scene")
    command.set_defaults(run=animate)
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="for frames, part maps, video, recipe")
    command.add_argument("--reference", type=Path, metavar="FILE", help="picture of the person (default: the scene's)")
    command.add_argument(
        "--consent", action="store_true", help="you have the right to use the picture (needed with --reference)"
    )
    _add_frames(command)
    command.add_argument("--fit", choices=("crop", "pad", "stretch"), help="how the picture gets the output's size")
    command.add_argument("--weights", metavar="ID", help="weights of the engine (default: the scene's choice)")
    command.add_argument("--quality", choices=[preset.id for preset in PRESETS])
    command.add_argument("--seed", type=int)
    command.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="any other setting of the engine"
    )
    command.add_argument("--server", metavar="URL", help="use the server there (default: as in the preferences)")
    command.add_argument(
        "--token-file", type=Path, metavar="FILE", help="that server's token (default: MAGICANIMATE_TOKEN)"
    )
    command.add_argument("--server-python", type=Path, metavar="FILE", help="start the server with this Python")
    command.add_argument("--plane", action="store_true", help="add the result to the scene as a plane; needs --save")
    command.add_argument(
        "--save", type=Path, metavar="FILE.blend", help="save the scene with the result under this name"
    )
    command = commands.add_parser("export-maps", help="write the character's part maps, for other tools")
    command.set_defaults(run=export_maps)
    command.add_argument("--out", type=Path, required=True, metavar="DIR")
    _add_frames(command)
    command.add_argument("--kind", choices=MAP_KINDS, default="labels")
    command.add_argument(
        "--video", type=Path, metavar="FILE", help="join them, without loss, to a .mkv or .mp4 (yuv444p) as well"
    )
    command.add_argument(
        "--for-players", action="store_true", help="with --video FILE.mp4: in yuv420p, which every player shows"
    )
    command.add_argument("--mitten", action="store_true", help="closed hands")
    command.add_argument("--resume", action="store_true", help="keep files that are there")
    return top


def _add_frames(command: argparse.ArgumentParser) -> None:
    command.add_argument("--scene", metavar="NAME", help="scene (default: the active one)")
    command.add_argument("--character", metavar="ARMATURE", help="armature (default: every character)")
    command.add_argument("--frames", metavar="START-END", help="frame range (default: the scene's)")
    command.add_argument("--step", type=int, help="every frame, every second ...")
    command.add_argument("--size", metavar="WxH", help="in pixels (default: what the weights were trained for)")


def animate(args: argparse.Namespace) -> int:
    scene = chosen_scene(args)
    choose(scene, args)
    OwnFiles(args.out).require(FILES, FOLDERS)
    choose_server(args)
    current = runtime()
    _learn_engines(scene)
    if args.quality:
        flow.use_preset(scene, next(preset for preset in PRESETS if preset.id == args.quality))
    engine_settings.assign(scene, _settings(args))
    scene.magicanimate.then = "NOTHING"
    animation = flow.animate(current, scene)
    now = follow(animation)
    if now.state is not State.DONE:
        return tell_end(now)
    copy_result(animation.folder, args.out)
    if args.plane:
        Delivery(current, animation.record, scene, "PLANE").finish()
    if args.save:
        bpy.ops.wm.save_as_mainfile(filepath=str(args.save.resolve()), relative_remap=True)
    print(f"{now.frames} frames in {args.out}")
    if (problem := messages.current()) is not None:  # what the saved file uses could not be copied beside it
        print(f"error: {problem.text} {problem.fix}", file=sys.stderr)
        return FAILED
    return DONE


def export_maps(args: argparse.Namespace) -> int:
    if args.for_players and (args.video is None or args.video.suffix != ".mp4"):
        raise SceneError("--for-players says how a video is written.", "Give --video FILE.mp4 with it.")
    scene = chosen_scene(args)
    choose_frames(scene, args)
    frames, paths = frames_of(scene), []
    if not frames:
        raise SceneError("There are no frames to draw.", "Give --frames with the first before the last.")
    characters, mitten = characters_of(scene), args.mitten or scene.magicanimate.mitten
    for step in export_part_maps(
        scene, characters, frames, args.out, args.kind, video_size(scene), args.resume, mitten
    ):
        paths.append(step.path)
        print(f"Part map {step.done} of {step.total}", flush=True)
    if args.video:
        write_video(scene, paths, args.video.resolve(), for_players=args.for_players)
    print(f"{len(paths)} part maps in {args.out}")
    return DONE


def chosen_scene(args: argparse.Namespace) -> bpy.types.Scene:
    """Raises SceneError for a name that the file has not."""
    if args.scene is None:
        return bpy.context.scene
    if args.scene not in bpy.data.scenes:
        raise SceneError(f"The file has no scene “{args.scene}”.", f"It has {', '.join(bpy.data.scenes.keys())}.")
    return bpy.data.scenes[args.scene]


def choose(scene: bpy.types.Scene, args: argparse.Namespace) -> None:
    """What the panel would have been told. Raises SceneError."""
    chosen = scene.magicanimate
    choose_frames(scene, args)
    if args.reference:
        if not args.reference.is_file():
            raise SceneError(f"There is no file {args.reference}.", "Give a PNG or JPEG picture.")
        chosen.reference = load_picture(args.reference.resolve())
    if args.consent:
        chosen.consent = True
    if args.fit:
        chosen.fit = args.fit.upper()
    if args.weights:
        chosen.weights = args.weights


def choose_server(args: argparse.Namespace) -> None:
    """For this run; the preferences on disk stay. Raises SceneError."""
    chosen = preferences()
    if args.server_python:
        chosen.server, chosen.python = "LOCAL", str(args.server_python.absolute())
    if args.server:
        try:
            token = args.token_file.read_text().strip() if args.token_file else os.environ.get("MAGICANIMATE_TOKEN", "")
        except OSError as error:
            raise SceneError(f"{args.token_file} can't be read: {error.strerror}.", "Give the token's file.") from error
        chosen.server, chosen.url, chosen.token = "REMOTE", args.server, token


def choose_frames(scene: bpy.types.Scene, args: argparse.Namespace) -> None:
    chosen = scene.magicanimate
    if args.character:
        armature = scene.objects.get(args.character)
        if armature is None or armature.type != "ARMATURE":
            raise SceneError(f"The scene has no armature “{args.character}”.", "Give the name of the armature.")
        chosen.character = armature
    if args.frames:
        chosen.use_scene_range = False
        chosen.frame_start, chosen.frame_end = _pair(args.frames, "-", "--frames", "1-48")
    if args.step:
        chosen.frame_step = args.step
    if args.size:
        chosen.use_advised_size = False
        chosen.width, chosen.height = _pair(args.size.lower(), "x", "--size", "512x512")


def follow(animation: Animation) -> Snapshot:
    """Pump the job to its end, as the panel's timer does, and say how far it is. Ctrl C cancels it."""
    current, said = runtime(), ""
    try:
        while not (now := animation.poll()).state.ended:
            timer.pump(current)
            line = progress_text(now)
            if line != said:
                print(said := line, flush=True)
            time.sleep(TICK)
    except KeyboardInterrupt:
        animation.cancel()
        raise
    return now


def tell_end(now: Snapshot) -> int:
    """Why there is no result, and the exit status: what is wrong in the scene, else what the server said."""
    problem = messages.current()
    text, fix = (problem.text, problem.fix) if problem else (now.message or now.title, now.fix)
    print(f"error: {text.rstrip('.')}. {fix}".strip(), file=sys.stderr)
    return BAD_INPUT if problem else FAILED


def copy_result(folder: ResultFolder, out: Path) -> None:
    """Copy the result to `out`, in place of an earlier run's. Raises FileProblem, with nothing but ours replaced."""
    sources = zip(FOLDERS, (folder.frames, folder.maps), strict=True)
    files = {f"{name}/{path.name}": path for name, source in sources for path in source.glob("*.png")}
    try:
        replace_files(OwnFiles(out), {**files, **{name: folder.path / name for name in FILES}}, FOLDERS)
    except FileProblem as error:
        kept = f"{error.fix} The result itself is in {folder.path}."
        raise FileProblem(error.detail, fix=kept, code=error.code) from error


def _learn_engines(scene: bpy.types.Scene) -> None:
    """In background nobody watches the server: ask it once, if it runs."""
    client = runtime().server.attach()
    if client is not None:
        try:
            engines.learn_engines(client.engines())
        finally:
            client.close()
        engine = engines.engine_for(scene.magicanimate, engines.known_engines())
        engine_settings.use_schema(engine.settings_schema)


def _settings(args: argparse.Namespace) -> dict[str, object]:
    known = engine_settings.schema()["properties"]
    chosen: dict[str, object] = {} if args.seed is None else {"seed": args.seed}
    for assignment in args.set:
        name, _, text = assignment.partition("=")
        if name not in known:
            raise SceneError(f"The engine has no setting “{name}”.", f"It has {', '.join(known)}.")
        chosen[name] = engine_settings.parse(name, text)
    return chosen


def _pair(text: str, separator: str, option: str, example: str) -> tuple[int, int]:
    try:
        first, second = (int(part) for part in text.split(separator))
    except ValueError:
        raise SceneError(f"{option} {text} is not understood.", f"Write it like {example}.") from None
    return first, second


def register() -> None:
    global _registered
    _registered = bpy.utils.register_cli_command(COMMAND, run)


def unregister() -> None:
    bpy.utils.unregister_cli_command(_registered)
