"""All metrics of a set of clips, as plain data for JSON, a page and tests."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from inference_server.evaluation import metrics, person
from inference_server.evaluation.clips import EvaluationClip
from inference_server.evaluation.learned import LearnedMetrics
from inference_server.evaluation.metrics import Pictures


@dataclass(frozen=True)
class ClipScore:
    """One clip. Differences and colours are of 0..1, PSNR in dB; NaN where a metric says nothing about a clip."""

    name: str
    frames: int
    l1: float
    psnr: float
    person_psnr: float
    ssim: float
    pose_agreement: float
    colour_error: float
    wall_error: float
    flicker: float
    wall_flicker: float
    seam: float
    lpips: float | None
    regions: dict[str, float]


@dataclass(frozen=True)
class Summary:
    """A set of clips: means of what is no NaN, and what only a set has."""

    clips: tuple[ClipScore, ...]
    mean: dict[str, float]
    identity: float
    distribution: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return _without_nan(asdict(self))


def score_clip(clip: EvaluationClip, learned: LearnedMetrics) -> ClipScore:
    output, truth, parts = clip.output, clip.truth, clip.parts
    errors = person.colour_errors(output, truth, parts)
    moving = len(truth) > 1
    return ClipScore(
        name=clip.name,
        frames=len(truth),
        l1=metrics.l1(output, truth),
        psnr=metrics.psnr(output, truth),
        person_psnr=metrics.psnr(output, truth, parts > 0),
        ssim=metrics.ssim(output, truth),
        pose_agreement=person.pose_agreement(output, parts),
        colour_error=person.person_colour_error(errors) if set(errors) - {"wall"} else float("nan"),
        wall_error=errors.get("wall", float("nan")),
        flicker=person.flicker(output, truth) if moving else float("nan"),
        wall_flicker=person.wall_flicker(output, parts) if moving else float("nan"),
        seam=person.seam(output, truth, clip.borders) if moving else float("nan"),
        lpips=learned.lpips(output, truth),
        regions=errors,
    )


def summarise(clips: Sequence[EvaluationClip], learned: LearnedMetrics | None = None) -> Summary:
    """Score every clip, and the set."""
    learned = learned or LearnedMetrics(None)
    scores = tuple(score_clip(clip, learned) for clip in clips)
    known = [clip for clip in clips if clip.reference_parts is not None]
    return Summary(
        clips=scores,
        mean=_means(scores),
        identity=person.identity(
            [person.region_colours(clip.output, clip.parts) for clip in known],
            [person.region_colours(clip.reference[None], clip.reference_parts[None]) for clip in known],
        ),
        distribution=learned.frechet((clip.output, clip.truth) for clip in clips) if learned.modules else {},
    )


def summarise_baseline(
    clips: Sequence[EvaluationClip], draw: Callable[[EvaluationClip], Pictures | None], learned: LearnedMetrics | None
) -> Summary | None:
    """The same for pictures drawn by a baseline; None if it cannot be drawn for every clip."""
    drawn = [(clip, draw(clip)) for clip in clips]
    if any(output is None for _, output in drawn):
        return None
    return summarise([replace(clip, output=output) for clip, output in drawn if output is not None], learned)


def _means(scores: Sequence[ClipScore]) -> dict[str, float]:
    names = [k for k, v in asdict(scores[0]).items() if k not in ("name", "frames", "regions") and v is not None]
    columns = {name: np.array([getattr(score, name) for score in scores], float) for name in names}
    return {k: float(np.nanmean(v)) if not np.isnan(v).all() else float("nan") for k, v in columns.items()}


def _without_nan(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
