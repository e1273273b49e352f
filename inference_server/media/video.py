"""Clips: video files and folders of pictures -> frames, and frames -> MP4."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Colorspace
from numpy.typing import NDArray

from inference_server.errors import UserError
from inference_server.media.files import replacing
from inference_server.media.images import read_image
from inference_server.media.limits import DEFAULT_LIMITS, Limits

FPS_RANGE = (0.01, 1000.0)
"""Frames per second that are written so that they are read again: at 5,000 no frame can be decoded."""

PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
BT709 = 1  # colour primaries, transfer and matrix of ITU-R BT.709 in H.273


@dataclass(frozen=True)
class Clip:
    """frames: uint8 (F, H, W, 3) RGB, F > 0. fps: frames per second, None for a folder of pictures."""

    frames: NDArray[np.uint8]
    fps: float | None


def read_frames(source: Path, *, limits: Limits = DEFAULT_LIMITS) -> Clip:
    """Read every frame of a video, or of a folder of pictures in natural order (2 before 10).

    Raises UserError `file-missing`, `video-unreadable`, `video-empty`, `video-truncated`, `video-too-large`,
    `size-mismatch`, or for a folder as `read_image` does. Counts in a file's header are never trusted for memory.
    """
    if is_picture_folder(source):
        pictures = (read_image(path, max_pixels=limits.pixels) for path in list_pictures(source, limits=limits))
        return Clip(_stack(pictures, source.name, limits), None)
    if not os.path.isfile(source):
        raise UserError(f"{source} does not exist", fix="Check the path.", code="file-missing")
    try:
        with av.open(str(source)) as container:
            return _read_video(container, source.name, limits)
    except (av.FFmpegError, ValueError) as error:
        raise UserError(
            f"{source.name} is not a video that can be read ({error})",
            fix="Export it again as MP4 (H.264), or as a folder of PNGs.",
            code="video-unreadable",
        ) from error


def write_mp4(path: Path, frames: Iterable[NDArray[np.uint8]], fps: float) -> None:
    """Write uint8 (H, W, 3) RGB frames as H.264, yuv420p, BT.709, near-lossless (CRF 12), playable while it loads.

    yuv420p needs even sizes: an odd one gets its last row or column twice. The file is whole or not there.
    Raises UserError `video-empty` if there are no frames, `bad-fps`.
    """
    check_fps(fps)
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise UserError(f"{path.name} would have no frames", fix="Give at least one frame.", code="video-empty")
    with (
        replacing(path) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as out,
    ):
        stream = out.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options={"crf": "12"})
        stream.height, stream.width = (size + size % 2 for size in first.shape[:2])
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        for image in chain([first], frames):
            even = np.pad(image, [(0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)], mode="edge")
            rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            out.mux(stream.encode(rgb.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)))
        out.mux(stream.encode())


def check_fps(fps: float) -> float:
    """Raises UserError `bad-fps` for a rate that a video cannot have, NaN among them."""
    least, most = FPS_RANGE
    if not least <= fps <= most:
        raise UserError(
            f"{fps:g} is no frame rate of a video", fix=f"Use {least:g} to {most:g} frames per second.", code="bad-fps"
        )
    return fps


def is_picture_folder(source: Path) -> bool:
    return os.path.isdir(source)  # false, too, for a name that the system does not accept


def list_pictures(folder: Path, *, limits: Limits = DEFAULT_LIMITS) -> list[Path]:
    """The folder's pictures in natural order. Raises UserError `video-empty` or `video-too-large`."""
    pictures = [p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and not p.name.startswith(".")]
    if not pictures:
        raise UserError(
            f"{folder} holds no pictures", fix="Put PNG files in it, one per frame, numbered.", code="video-empty"
        )
    if len(pictures) > limits.frames:
        raise _too_large(folder.name, f"{len(pictures)} frames", f"{limits.frames}")
    return sorted(pictures, key=lambda path: [int(t) if t.isdigit() else t for t in re.split(r"(\d+)", path.name)])


def _read_video(container: av.container.InputContainer, name: str, limits: Limits) -> Clip:
    if not container.streams.video:
        raise UserError(f"{name} holds no video", fix="Choose a video file.", code="video-empty")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise ValueError("unknown codec")
    width, height = stream.width, stream.height
    if width * height > limits.pixels:
        raise _too_large(name, f"{width} x {height} pixels", f"{limits.pixels:,} pixels")
    stream.thread_type = "AUTO"
    # A damaged stream can change to a size that its header does not tell; FFmpeg then refuses it before allocating.
    stream.codec_context.options = {"max_pixels": str(limits.pixels)}
    frames = _stack(_decode(container), name, limits)
    # The index says what the file should hold (edit lists applied); a file cut off while copying holds less.
    promised = sum(not entry.is_discard for entry in stream.index_entries)
    if len(frames) < promised:
        raise UserError(
            f"{name} says it has {promised} frames, but only {len(frames)} can be read",
            fix="Copy or export it again; the file is cut off or damaged.",
            code="video-truncated",
        )
    rate = stream.average_rate or stream.guessed_rate
    return Clip(frames, float(rate) if rate else None)


def _decode(container: av.container.InputContainer) -> Iterator[NDArray[np.uint8]]:
    for frame in container.decode(video=0):
        image = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
        yield np.rot90(image, round(frame.rotation / 90)) if frame.rotation else image


def _stack(frames: Iterable[NDArray[np.uint8]], name: str, limits: Limits) -> NDArray[np.uint8]:
    """Hold the frames in one array, refusing a clip as soon as it is too much, whatever its header says."""
    held: list[NDArray[np.uint8]] = []
    for frame in frames:
        if held and frame.shape != held[0].shape:
            raise UserError(
                f"{name}: frame {len(held)} is {frame.shape[1]} x {frame.shape[0]}, the first {held[0].shape[1]} x "
                f"{held[0].shape[0]}",
                fix="Use one size for all frames.",
                code="size-mismatch",
            )
        held.append(frame)
        if len(held) > limits.frames:
            raise _too_large(name, "more frames", f"{limits.frames} frames")
        if len(held) * frame.shape[0] * frame.shape[1] > limits.clip_pixels:
            raise _too_large(name, "more pixels", f"{limits.clip_pixels:,} pixels in all its frames")
    if not held:
        raise UserError(f"{name} has no frames", fix="Export it again.", code="video-empty")
    return np.stack(held)


def _too_large(name: str, what: str, limit: str) -> UserError:
    return UserError(
        f"{name} has {what}: at most {limit} are read",
        fix="Cut it into shorter clips or scale it down.",
        code="video-too-large",
    )
