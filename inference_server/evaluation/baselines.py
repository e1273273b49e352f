"""What costs nothing and must be beaten, or tells how far there is to go."""

from collections.abc import Callable

import numpy as np

from inference_server.evaluation.clips import EvaluationClip
from inference_server.evaluation.metrics import Pictures


def truth(clip: EvaluationClip) -> Pictures:
    """The truth itself: the ceiling of every metric."""
    return clip.truth


def copy_of_reference(clip: EvaluationClip) -> Pictures:
    """The reference picture, standing still."""
    return np.broadcast_to(clip.reference, clip.truth.shape)


def mean_colour(clip: EvaluationClip) -> Pictures:
    """The reference's mean colour everywhere."""
    colour = clip.reference.reshape(-1, 3).mean(0).round().astype(np.uint8)
    return np.broadcast_to(colour, clip.truth.shape)


def part_mean_painter(clip: EvaluationClip) -> Pictures | None:
    """Every DensePose part in its mean colour in the reference, the wall row by row; needs the reference's own map.

    Parts that the reference does not show take the person's mean colour. None without `reference_parts`.
    """
    if clip.reference_parts is None:
        return None
    person = clip.reference_parts > 0
    if not person.any():
        return None
    palette = np.tile(clip.reference[person].mean(0), (25, 1))
    for part in np.unique(clip.reference_parts[person]):
        palette[part] = clip.reference[clip.reference_parts == part].mean(0)
    rows = [r[~p].mean(0) if (~p).any() else palette[0] for r, p in zip(clip.reference, person, strict=True)]
    wall = np.broadcast_to(np.array(rows)[None, :, None], clip.truth.shape)
    painted = np.where((clip.parts > 0)[..., None], palette[clip.parts], wall)
    return painted.round().astype(np.uint8)


BASELINES: dict[str, Callable[[EvaluationClip], Pictures | None]] = {
    "truth": truth,
    "copy of the reference": copy_of_reference,
    "one mean colour": mean_colour,
    "part-mean painter": part_mean_painter,
}
