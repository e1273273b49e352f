"""Part maps as files, for other tools: a PNG for each frame, one video of them."""

from __future__ import annotations

import contextlib
import math
import os
import struct
import zlib
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import bpy
import numpy as np

from ..densepose.labels import PALETTE
from ..raster.iuv import encode_iuv
from ..raster.png import encode_labels, encode_rgb
from .characters import Character
from .errors import SceneError
from .iuv import read_iuv_frames
from .part_maps import read_frames

MapKind = Literal["labels", "colours", "iuv-bgr", "iuv-rgb"]
"""labels: indexed PNG, label = index, with the palette of the training clips. colours: the same as RGB.
iuv-bgr: as DensePose's own tools write it through OpenCV: red V, green U, blue part. iuv-rgb: the other way round."""
MAP_KINDS: tuple[MapKind, ...] = get_args(MapKind)


IHDR_END = 33
"""Bytes of a PNG up to the end of its first chunk."""
SIGN = b"tEXtSoftware\0MagicAnimate part map"
"""Type and contents of a chunk that exported maps have."""


@dataclass(frozen=True)
class ExportedFrame:
    """One step of an export. written: False if the file was there already and was kept. done of total frames."""

    frame: int
    path: Path
    written: bool
    done: int
    total: int


def frame_path(folder: Path, frame: int) -> Path:
    """Where a scene frame's map lies: 0001.png, as Blender numbers its renders."""
    return folder / f"{frame:04d}.png" if frame >= 0 else folder / f"-{-frame:04d}.png"


def export_part_maps(
    scene: bpy.types.Scene,
    characters: Sequence[Character],
    frames: Iterable[int],
    folder: str | Path,
    kind: MapKind = "labels",
    size: tuple[int, int] = (512, 512),
    resume: bool = False,
    mitten: bool = False,
) -> Generator[ExportedFrame]:
    """Write the frames' maps into a folder, one per next(): show progress, and stop whenever you like by closing it.

    resume: keep files that are there (after a stop; not after the scene changed). A file is whole or not there at all.
    mitten: closed fingers, for labels and colours. Raises SceneError, also where the folder cannot be written, or where
    it holds other pictures of those names, as Blender's own renders have them.
    """
    folder, frames = Path(folder), list(frames)
    if kind not in MAP_KINDS:
        raise SceneError(f"“{kind}” is no kind of part map.", f"Choose one of {', '.join(MAP_KINDS)}.")
    kept = {frame for frame in frames if resume and frame_path(folder, frame).exists()}
    foreign = [] if resume else [path for path in (frame_path(folder, frame) for frame in frames) if _is_foreign(path)]
    if foreign:
        raise SceneError(f"“{foreign[0]}” would be replaced, but it is no exported part map.", "Choose another folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        to_draw = [frame for frame in frames if frame not in kept]
        with contextlib.closing(_drawn(scene, characters, to_draw, kind, size, mitten)) as drawn:
            for done, frame in enumerate(frames, 1):
                path = frame_path(folder, frame)
                if frame not in kept:
                    _write_whole(path, _signed(next(drawn)))
                yield ExportedFrame(frame, path, frame not in kept, done, len(frames))
    except OSError as error:
        raise SceneError(
            f"The part maps cannot be written to “{folder}”: {error.strerror or error}.", "Choose another folder."
        ) from error


def export_video(
    pictures: Sequence[str | Path],
    path: str | Path,
    fps: float,
    progress: Callable[[int, int], None] | None = None,
    *,
    for_players: bool = False,
) -> None:
    """Join PNGs of one size into a video by Blender's own FFmpeg.

    path: .mkv is FFV1, exact to the bit; .mp4 is H.264 without loss in yuv444p (colours come back within a level or
    two, so the nearest label colour is the label), which browsers, QuickTime and Windows do not play. for_players: a
    .mp4 in yuv420p that they play, whose colours blend at borders, so that labels can't be read back from it.
    progress: called with frames done and all of them. Raises SceneError.
    """
    path, files = Path(path), [Path(picture) for picture in pictures]
    if path.suffix not in (".mp4", ".mkv"):
        raise SceneError(f"“{path.name}” is no video that can be written.", "Name it .mp4 or .mkv.")
    missing = next((file for file in files if not file.exists()), None)
    if not files or missing is not None:
        raise SceneError(
            f"The picture “{missing.name}” is missing." if missing else "There are no frames to make a video of.",
            "Export the part maps first.",
        )
    if for_players and path.suffix != ".mp4":
        raise SceneError(f"“{path.name}” is no video for every player.", "Name it .mp4.")
    video = _video_scene(files, path, fps, lossless=not for_players)

    def count(scene: bpy.types.Scene, *_: object) -> None:
        if progress is not None and scene == video:
            progress(scene.frame_current, len(files))

    bpy.app.handlers.render_write.append(count)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        bpy.ops.render.render(animation=True, scene=video.name)
    except (OSError, RuntimeError) as error:
        raise SceneError(f"The video “{path.name}” cannot be written: {error}", "Choose another folder.") from error
    finally:
        bpy.app.handlers.render_write.remove(count)
        # scenes.remove() crashes Blender 4.3 where it runs a --command, which has no window.
        bpy.data.batch_remove([video])
    if not path.exists():
        raise SceneError(f"The video “{path.name}” was not written.", "Choose another folder, or export PNGs.")


def _drawn(
    scene: bpy.types.Scene,
    characters: Sequence[Character],
    frames: Sequence[int],
    kind: MapKind,
    size: tuple[int, int],
    mitten: bool,
) -> Generator[bytes]:
    if kind in ("iuv-bgr", "iuv-rgb"):
        order = kind.removeprefix("iuv-").upper()
        for iuv in read_iuv_frames(scene, characters, frames, *size):
            yield encode_iuv(iuv.draw(), order=order)
        return
    for reading in read_frames(scene, characters, frames, *size, mitten=mitten):
        labels = reading.draw()
        yield encode_labels(labels) if kind == "labels" else encode_rgb(np.ascontiguousarray(PALETTE[labels]))


def _signed(png: bytes) -> bytes:
    """With a text chunk that says whose picture it is."""
    return (
        png[:IHDR_END] + struct.pack(">I", len(SIGN) - 4) + SIGN + struct.pack(">I", zlib.crc32(SIGN)) + png[IHDR_END:]
    )


def _is_foreign(path: Path) -> bool:
    """Whether there is a file that we did not write."""
    try:
        with path.open("rb") as file:
            return SIGN not in file.read(IHDR_END + 4 + len(SIGN))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def _write_whole(path: Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def _video_scene(files: Sequence[Path], path: Path, fps: float, *, lossless: bool) -> bpy.types.Scene:
    """A scene that holds nothing but the pictures, one a frame, and renders them untouched."""
    video = bpy.data.scenes.new("Part maps")
    editor = video.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences  # the name until 4.3
    strip = strips.new_image("Part maps", str(files[0]), channel=1, frame_start=1, fit_method="ORIGINAL")
    for file in files[1:]:
        strip.elements.append(file.name)
    width, height = strip.elements[0].orig_width, strip.elements[0].orig_height
    video.frame_start, video.frame_end = 1, len(files)
    render, settings = video.render, video.render.image_settings
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    render.fps, render.fps_base = math.ceil(fps), math.ceil(fps) / fps
    render.use_sequencer, render.use_compositing, render.dither_intensity = True, False, 0
    render.filepath, render.use_file_extension = str(path), False
    video.view_settings.view_transform = "Standard"
    if hasattr(settings, "media_type"):  # 5.0 and later
        settings.media_type = "VIDEO"
    settings.file_format = "FFMPEG"
    ffmpeg = render.ffmpeg
    ffmpeg.audio_codec = "NONE"
    if path.suffix == ".mkv":
        ffmpeg.format, ffmpeg.codec = "MKV", "FFV1"
    else:
        ffmpeg.format, ffmpeg.codec = "MPEG4", "H264"
        # Blender writes yuv444p where it may lose nothing, else yuv420p.
        ffmpeg.constant_rate_factor, ffmpeg.ffmpeg_preset = "LOSSLESS" if lossless else "PERC_LOSSLESS", "GOOD"
    return video
