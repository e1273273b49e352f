"""Pictures of a run in progress: a contact sheet made by the server's own pipeline, and the losses as a plot."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference_server.engines.magicanimate.loader import Networks
from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline
from inference_server.media.labels import PALETTE
from inference_server.training.characters import TRAINING_STREAM, Clip, make_clips
from inference_server.training.denoiser_stage import SHARED_NOISE

FIRST_PREVIEW_CLIP = 1_000_000  # clips of the training stream that no pool reaches: neither trained on nor held out
CHARACTERS, CHARACTERS_IN_MOTION, FRAMES_SHOWN, STEPS, GUIDANCE = 5, 2, 2, 10, 2.5


def preview_clips(size: int, count: int = CHARACTERS) -> list[Clip]:
    return [make_clips(TRAINING_STREAM, FIRST_PREVIEW_CLIP + i, size=size)[0] for i in range(count)]


def contact_sheet(networks: Networks, clips: list[Clip], *, motion: bool) -> tuple[NDArray[np.uint8], float]:
    """A row per character: reference, then part map, truth and output of some frames. Also the person's PSNR in dB."""
    pipeline = MagicAnimatePipeline(networks, next(networks.unet.parameters()).device)
    rows, errors = [], []
    for clip in clips[:CHARACTERS_IN_MOTION] if motion else clips:
        frames = len(clip.frames)
        shown = np.linspace(0, frames - 1, FRAMES_SHOWN).round().astype(int)
        animated = np.arange(frames) if motion else shown
        window = len(animated) if motion else 1
        output = pipeline(
            clip.references[0],
            clip.parts[animated],
            steps=STEPS,
            guidance_scale=GUIDANCE,
            shared_noise=SHARED_NOISE if motion else 0.0,
            context_frames=window,
            context_overlap=0,
        )
        truth, parts = clip.frames[animated], clip.parts[animated]
        errors.append(np.square((output.astype(np.float64) - truth) / 255)[parts > 0].mean())
        columns = [clip.references[0]]
        for k in shown if motion else range(len(shown)):
            columns += [PALETTE[parts[k]], truth[k], output[k]]
        rows.append(np.concatenate(columns, axis=1))
    return np.concatenate(rows), float(-10 * np.log10(np.mean(errors)))


def save_sheet(path: Path, sheet: NDArray[np.uint8]) -> None:
    Image.fromarray(sheet).save(path)


def plot_losses(log: Path, picture: Path) -> None:
    """Running means of every logged term against the step."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    terms = [key for key in lines[-1] if key not in ("step", "seconds", "gradient")]
    figure, axes = plt.subplots(1, len(terms), figsize=(5 * len(terms), 3.5), squeeze=False)
    for axis, term in zip(axes[0], terms, strict=True):
        points = np.array([(line["step"], line[term]) for line in lines if term in line])
        width = max(1, len(points) // 100)
        smooth = np.convolve(points[:, 1], np.ones(width) / width, "valid")
        axis.semilogy(points[width - 1 :, 0], smooth)
        axis.set_title(term)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(picture, dpi=80)
    plt.close(figure)
