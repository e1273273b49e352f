"""What an artist sees: is the person where the map says, in the right colours, steady, and the same person?

Clips are uint8 (F, H, W, 3), part maps uint8 (F, H, W) with DensePose labels 0..24.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from inference_server.evaluation.metrics import Pictures

Labels = NDArray[np.uint8]
Array = NDArray[np.float64]

SILHOUETTE_THRESHOLD = 0.10  # difference from the wall, of 0..1, in the channel that differs most
MARGIN = 4  # pixels around the map that tell nothing about the wall
LEAST_PIXELS = 20  # of a region before its mean colour means anything

# Regions whose clothes an artist would name, by DensePose label.
REGIONS: dict[str, tuple[int, ...]] = {
    "torso": (1, 2),
    "upper legs": (7, 8, 9, 10),
    "lower legs": (11, 12, 13, 14),
    "upper arms": (15, 16, 17, 18),
    "lower arms": (19, 20, 21, 22),
    "head": (23, 24),
}


def silhouette(picture: Pictures, parts: Labels) -> NDArray[np.bool_]:
    """(H, W): what stands out from the wall. The wall in each row is the median of what the map leaves free."""
    free = ~binary_dilation(parts > 0, iterations=MARGIN)
    image = picture.astype(np.float64) / 255
    overall = np.median(image[free], axis=0) if free.any() else np.median(image, axis=(0, 1))
    wall = np.array([np.median(row[f], axis=0) if f.any() else overall for row, f in zip(image, free, strict=True)])
    return np.abs(image - wall[:, None]).max(-1) > SILHOUETTE_THRESHOLD


def pose_agreement(output: Pictures, parts: Labels) -> float:
    """Intersection over union of the output's silhouette and the map's, mean over frames.

    1 is out of reach: clothes in the wall's colour are no part of the silhouette. Compare with the truth's own figure.
    """
    frames = []
    for picture, labels in zip(output, parts, strict=True):
        seen, drawn = silhouette(picture, labels), labels > 0
        frames.append((seen & drawn).sum() / max(1, (seen | drawn).sum()))
    return float(np.mean(frames))


def region_colours(pictures: Pictures, parts: Labels) -> dict[str, Array]:
    """Mean RGB (3,) in 0..1 of every region of REGIONS that is shown at all, over all frames, and of the wall."""
    colours = {}
    for name, labels in (*REGIONS.items(), ("wall", (0,))):
        where = np.isin(parts, labels)
        if where.sum() >= LEAST_PIXELS:
            colours[name] = pictures[where].mean(0) / 255
    return colours


def colour_errors(output: Pictures, truth: Pictures, parts: Labels) -> dict[str, float]:
    """Mean absolute difference of every region's mean colour, frame by frame; regions never shown are absent."""
    errors: dict[str, list[float]] = {}
    for picture, right, labels in zip(output, truth, parts, strict=True):
        expected = region_colours(right[None], labels[None])
        for name, colour in region_colours(picture[None], labels[None]).items():
            errors.setdefault(name, []).append(float(np.abs(colour - expected[name]).mean()))
    return {name: float(np.mean(values)) for name, values in errors.items()}


def person_colour_error(errors: dict[str, float]) -> float:
    """Mean over the person's regions."""
    return float(np.mean([value for name, value in errors.items() if name != "wall"]))


def flicker(output: Pictures, truth: Pictures) -> float:
    """Mean change from frame to frame, as a multiple of the truth's. 1 is right; NaN where the truth stands still."""
    change = _changes(truth).mean()
    return float(_changes(output).mean() / change) if change > 0 else float("nan")


def wall_flicker(output: Pictures, parts: Labels) -> float:
    """Mean change from frame to frame (of 0..1) where neither frame's map shows the person; 0 for a fixed camera."""
    free = (parts[1:] == 0) & (parts[:-1] == 0)
    return float(_changes(output)[free].mean()) if free.any() else float("nan")


def seam(output: Pictures, truth: Pictures, borders: Iterable[int]) -> float:
    """How much more the change into a border frame is off than other changes are; 1: the border cannot be seen.

    `borders`: frames at which a window begins or ends. Off: difference to the truth's change.
    """
    off = np.abs(_signed_changes(output) - _signed_changes(truth)).mean((1, 2, 3))
    at_border = np.zeros(len(off), bool)
    at_border[[b - 1 for b in borders if 0 < b <= len(off)]] = True
    if at_border.all() or not at_border.any():
        return float("nan")
    return float(off[at_border].mean() / max(off[~at_border].mean(), 1e-9))


def identity(outputs: Sequence[dict[str, Array]], references: Sequence[dict[str, Array]]) -> float:
    """Share of clips whose region colours are nearer to their own reference's than to any other clip's.

    A coarse stand-in for face recognition, for people who differ in clothes and skin. NaN for fewer than two clips.
    """
    if len(outputs) < 2:
        return float("nan")
    distances = np.array([[_distance(o, r) for r in references] for o in outputs])
    return float((distances.argmin(1) == np.arange(len(outputs))).mean())


def _distance(a: dict[str, Array], b: dict[str, Array]) -> float:
    shared = [name for name in a if name in b and name != "wall"]
    return float(np.mean([np.abs(a[name] - b[name]).mean() for name in shared])) if shared else float("inf")


def _signed_changes(pictures: Pictures) -> Array:
    return np.diff(pictures.astype(np.float64) / 255, axis=0)


def _changes(pictures: Pictures) -> Array:
    return np.abs(_signed_changes(pictures)).mean(-1)
