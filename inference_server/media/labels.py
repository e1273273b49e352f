"""Part maps: label PNGs, coloured DensePose pictures and videos -> labels 0..24."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference_server.errors import UserError
from inference_server.media.images import open_picture, read_image
from inference_server.media.limits import DEFAULT_LIMITS, Limits

LABELS = 25
# matplotlib/OpenCV viridis at level floor(label * 255 / 24): how DensePose part maps are drawn for MagicAnimate.
PALETTE: NDArray[np.uint8] = np.array(
    [
        (68, 1, 84), (71, 16, 99), (72, 31, 112), (71, 44, 122), (68, 57, 131), (64, 70, 136), (59, 81, 139),
        (54, 93, 141), (49, 104, 142), (44, 113, 142), (40, 124, 142), (37, 133, 142), (33, 144, 141),
        (31, 154, 138), (32, 163, 134), (39, 173, 129), (53, 183, 121), (70, 192, 111), (92, 200, 99),
        (115, 208, 86), (142, 214, 69), (170, 220, 50), (197, 224, 33), (226, 228, 24), (253, 231, 37),
    ],
    dtype=np.uint8,
)  # fmt: skip

SOUND_DISTANCE = 24.0
"""Euclidean, in RGB levels: a pixel this near to a colour of the table is that colour, darkened by a codec. Farther
ones are edges, where two parts are mixed."""

MAX_BODY_DISTANCE = 32.0
"""Mean distance of a figure's pixels from the table. Measured on the published sample clips: 7 and 11 as they are, 14
and 20 written again as H.264 with CRF 48, 15 and 20 scaled to a quarter and back with CRF 30, 29 as JPEG of quality 30
at a quarter of their size; 44 and more for other tables (turbo, jet, plasma, magma, inferno, cividis, grey), BGR, a
black or a white background and another view transform; 71 for photographs. The share of pixels off the table tells
less: lossy clips have up to a quarter of a figure's pixels there, BGR a seventh of a picture's."""


@dataclass(frozen=True)
class LabelMap:
    """labels: uint8 (H, W). off_palette: share of the pixels that were farther than
    SOUND_DISTANCE from every colour of the table, and got the nearest one's label."""

    labels: NDArray[np.uint8]
    off_palette: float = 0.0


@dataclass(frozen=True)
class LabelClip:
    """labels: uint8 (F, H, W), 0..24. fps: frames per second, None for a folder of pictures. off_palette: as for
    `LabelMap`, of all frames."""

    labels: NDArray[np.uint8]
    fps: float | None
    off_palette: float = 0.0


def read_labels(source: Path | bytes, *, name: str = "", max_pixels: int = DEFAULT_LIMITS.pixels) -> NDArray[np.uint8]:
    """Read one part map as labels uint8 (H, W).

    An indexed PNG with the DensePose table, or a grey one, holds the labels; anything else is read by colour.
    Raises UserError `label-out-of-range`, `map-off-palette`, or as `read_image` does.
    """
    return read_map(source, name=name, max_pixels=max_pixels).labels


def read_map(source: Path | bytes, *, name: str = "", max_pixels: int = DEFAULT_LIMITS.pixels) -> LabelMap:
    """As `read_labels`, with the share of pixels that were off the table."""
    title = name or (source.name if isinstance(source, Path) else "The part map")
    picture = open_picture(source, name=title, max_pixels=max_pixels)
    if picture.mode == "P" and _has_densepose_palette(picture.getpalette("RGB") or []):
        return LabelMap(_checked(np.asarray(picture), title))
    if picture.mode == "L":
        return LabelMap(_checked(np.asarray(picture), title))
    return snap_to_palette(read_image(source, name=title, max_pixels=max_pixels), name=title)


def read_label_clip(source: Path, *, limits: Limits = DEFAULT_LIMITS) -> LabelClip:
    """Read part maps from a folder of pictures or a video. Raises as `read_labels` and `read_frames` do."""
    # The serving process checks single maps and never reads a video: it is spared PyAV's memory and start time.
    from inference_server.media.video import is_picture_folder, list_pictures, read_frames

    if is_picture_folder(source):
        pictures = [read_map(path, max_pixels=limits.pixels) for path in list_pictures(source, limits=limits)]
        check_same_size([each.labels for each in pictures], source.name)
        return _clip(pictures, None)
    clip = read_frames(source, limits=limits)
    frames = [snap_to_palette(frame, name=f"{source.name}, frame {n}") for n, frame in enumerate(clip.frames)]
    return _clip(frames, clip.fps)


def _clip(maps: list[LabelMap], fps: float | None) -> LabelClip:
    return LabelClip(np.stack([each.labels for each in maps]), fps, float(np.mean([each.off_palette for each in maps])))


def labels_from_colours(image: NDArray[np.uint8], *, name: str = "The part map") -> NDArray[np.uint8]:
    """Labels uint8 (H, W) of a coloured map (H, W, 3). Raises UserError `map-off-palette`."""
    return snap_to_palette(image, name=name).labels


def snap_to_palette(image: NDArray[np.uint8], *, name: str = "The part map") -> LabelMap:
    """The nearest colour's label for every pixel of a coloured map (H, W, 3), uint8, as lossy videos have it too.

    What is no part map is told by how far its figure's pixels are from the table, not by how many are off it. Raises
    UserError `map-off-palette`.
    """
    nearest, distance = _nearest_colours(image)
    off = distance > SOUND_DISTANCE
    body = off | (nearest != 0)
    typical = float(distance[body].mean()) if body.any() else 0.0
    if typical > MAX_BODY_DISTANCE:
        raise UserError(
            f"{name} is no DensePose part map: its figure's colours are {typical:.0f} levels off the table's, at most "
            f"{MAX_BODY_DISTANCE:.0f} are accepted",
            fix=_EXPECTED,
            code="map-off-palette",
        )
    return LabelMap(nearest, float(off.mean()))


def _nearest_colours(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Label of the nearest colour and the distance to it, both (H, W)."""
    codes, inverse = np.unique(_pack(image), return_inverse=True)
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.float32)
    distance = np.full(len(codes), np.inf, np.float32)
    nearest = np.zeros(len(codes), np.uint8)
    for label, colour in enumerate(PALETTE.astype(np.float32)):
        to_colour = np.linalg.norm(colours - colour, axis=1)
        nearest[to_colour < distance] = label
        np.minimum(distance, to_colour, out=distance)
    inverse = inverse.reshape(image.shape[:2])
    return nearest[inverse], distance[inverse]


def colours_from_labels(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels (..., H, W) -> RGB (..., H, W, 3) by the DensePose table."""
    return PALETTE[labels]


def check_same_size(maps: list[NDArray[np.uint8]], name: str) -> None:
    """Raises UserError `size-mismatch` if the maps differ in size."""
    for n, image in enumerate(maps):
        if image.shape != maps[0].shape:
            sizes = [f"{m.shape[1]} x {m.shape[0]}" for m in (maps[0], image)]
            raise UserError(
                f"{name}: frame {n} is {sizes[1]} and frame 0 is {sizes[0]}",
                fix="Render all part maps at one size.",
                code="size-mismatch",
            )


_EXPECTED = (
    "Expected is OpenCV's VIRIDIS table at part * 255 / 24, hard-edged: background "
    + ", ".join(f"{tuple(int(v) for v in PALETTE[part])}{text}" for part, text in ((0, ""), (2, " torso front")))
    + f", ... {tuple(int(v) for v in PALETTE[24])} left half of the head; render the maps with view transform Raw, "
    "or send indexed PNGs."
)


def _checked(labels: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    if int(labels.max(initial=0)) >= LABELS:
        raise UserError(
            f"{name} holds the label {int(labels.max())}, and DensePose has 0 to 24",
            fix="Write one label per pixel: 0 for background, 1 to 24 for body parts.",
            code="label-out-of-range",
        )
    return labels


def _has_densepose_palette(palette: list[int]) -> bool:
    known = min(len(palette) // 3, LABELS)
    return known > 0 and palette[: known * 3] == PALETTE[:known].ravel().tolist()


def _pack(image: NDArray[np.uint8]) -> NDArray[np.int32]:
    wide = image.astype(np.int32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
