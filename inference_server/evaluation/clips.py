"""The folder that is evaluated: one folder per clip.

CLIP/reference.png            the picture
CLIP/reference_parts.png      its part map (optional: lets the part-mean painter and identity be scored)
CLIP/maps.mp4    or maps/     part maps, coloured or indexed
CLIP/truth.mp4   or truth/    what it should look like
CLIP/output.mp4  or output/   what is scored
CLIP/clip.json                {"window_borders": [...]} (optional: frames at which windows begin or end)
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from inference_server.errors import UserError
from inference_server.evaluation.metrics import Pictures
from inference_server.evaluation.person import Labels
from inference_server.media.fit import fit_image, fit_labels
from inference_server.media.images import read_image, write_png
from inference_server.media.labels import PALETTE, read_label_clip, read_labels
from inference_server.media.video import read_frames

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi")


@dataclass(frozen=True)
class EvaluationClip:
    """One clip; everything has the truth's size, and maps, truth and output the length of the shortest."""

    name: str
    reference: Pictures
    reference_parts: Labels | None
    parts: Labels
    truth: Pictures
    output: Pictures
    borders: tuple[int, ...] = ()


def read_clips(folder: Path) -> list[EvaluationClip]:
    """All clips of a folder, by name. Raises UserError for no clips at all, and for missing or unreadable files."""
    places = sorted(p for p in folder.iterdir() if p.is_dir() and _is_clip(p)) if folder.is_dir() else []
    if not places:
        raise UserError(
            f"{folder} holds no clips to evaluate",
            fix="Put a folder per clip there, with reference.png, maps, truth and output; see docs/evaluation.md.",
            code="no-clips",
        )
    return [read_clip(place) for place in places]


def read_clip(folder: Path) -> EvaluationClip:
    truth = read_frames(_part(folder, "truth")).frames
    output = read_frames(_part(folder, "output")).frames
    parts = read_label_clip(_part(folder, "maps")).labels
    reference = read_image(folder / "reference.png")
    labels = folder / "reference_parts.png"
    facts = folder / "clip.json"
    count, (height, width) = min(len(truth), len(output), len(parts)), truth.shape[1:3]
    return EvaluationClip(
        name=folder.name,
        reference=fit_image(reference, width, height),
        reference_parts=fit_labels(read_labels(labels), width, height) if labels.exists() else None,
        parts=np.stack([fit_labels(p, width, height) for p in parts[:count]]),
        truth=truth[:count],
        output=np.stack([fit_image(o, width, height) for o in output[:count]]),
        borders=tuple(json.loads(facts.read_text()).get("window_borders", ())) if facts.exists() else (),
    )


def write_clip(folder: Path, clip: EvaluationClip) -> None:
    """Losslessly, as folders of PNGs."""
    folder.mkdir(parents=True, exist_ok=True)
    write_png(folder / "reference.png", clip.reference)
    if clip.reference_parts is not None:
        _write_labels(folder / "reference_parts.png", clip.reference_parts)
    for name, frames in (("truth", clip.truth), ("output", clip.output), ("maps", clip.parts)):
        (folder / name).mkdir(exist_ok=True)
        for k, frame in enumerate(frames):
            (_write_labels if name == "maps" else write_png)(folder / name / f"{k:04d}.png", frame)
    (folder / "clip.json").write_text(json.dumps({"window_borders": list(clip.borders)}) + "\n")


def _write_labels(path: Path, labels: Labels) -> None:
    picture = Image.fromarray(labels, "P")
    picture.putpalette(PALETTE.tobytes())
    picture.save(path)


def _is_clip(folder: Path) -> bool:
    return (folder / "reference.png").exists()


def _part(folder: Path, name: str) -> Path:
    for place in (folder / name, *(folder / f"{name}{suffix}" for suffix in SUFFIXES)):
        if place.exists():
            return place
    raise UserError(
        f"{folder} has no {name}", fix=f"Put {name}.mp4 or a folder {name} of PNGs there.", code="file-missing"
    )
