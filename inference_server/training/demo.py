"""Train the demo weights from nothing: autoencoder, then single pictures, then clips."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import torch
from diffusers import AutoencoderKL

from inference_server.training import denoiser_stage, vae_stage
from inference_server.training.budget import Budget, cosine_after
from inference_server.training.denoiser_stage import DenoiserLoss
from inference_server.training.export import as_pipeline_parts, write_checkpoint
from inference_server.training.networks import Denoiser, remove_motion
from inference_server.training.pool import ClipPool
from inference_server.training.preview import contact_sheet, plot_losses, preview_clips, save_sheet
from inference_server.training.stage import Stage

Say = Callable[[str], None]
Shapes = tuple[tuple[int, int], ...]
"""(clips, frames per clip) of a batch, drawn for each."""

IMAGE_RATE, MOTION_RATE = 1.5e-3, 1.5e-3
IMAGE_READING, MOTION_READING = 0.1, 0.03  # weights of the reading loss; it has done its work by the motion stage
REST_SHARE = 0.8  # of the motion stage's rate, for everything but the motion modules


@dataclass(frozen=True)
class Recipe:
    """How much of everything. The defaults made the shipped weights' configuration at 128 x 128 on a CPU."""

    vae: Budget
    images: Budget
    motion: Budget
    size: int = 128
    motions: int = 1000  # in the pool, each in LOOKS_PER_MOTION sets of clothes
    image_shapes: Shapes = ((4, 2),)  # unrelated frames but for their reference
    motion_shapes: Shapes = ((4, 4), (2, 8), (1, 16))  # norms and attention must not come to rely on one length
    device: str = "cpu"
    precision: torch.dtype = torch.float32
    report_every: int = 500


STAGE_SHARES = (0.1, 0.2, 0.7)  # of the time: autoencoder, single pictures, clips
STAGE_STEPS = (4000, 8000, 16000)


def recipe_for(device: torch.device, *, minutes: float | None, steps: int | None) -> Recipe:
    """The recipe for a device and a time. On CUDA batches are large and products are computed in bf16.

    minutes: of training, shared out among the stages. steps: of the longest stage; the others follow in proportion.
    """
    budgets = [
        Budget(
            max(1, round(count * steps / max(STAGE_STEPS))) if steps else count,
            minutes * 60 * share if minutes else math.inf,
        )
        for count, share in zip(STAGE_STEPS, STAGE_SHARES, strict=True)
    ]
    recipe = Recipe(*budgets, device=str(device))
    if device.type == "cuda":
        shapes = {"image_shapes": ((64, 2),), "motion_shapes": ((64, 4), (32, 8), (16, 16))}
        recipe = replace(recipe, **shapes, precision=torch.bfloat16, motions=4000)
    return replace(recipe, motions=min(recipe.motions, max(2, steps))) if steps else recipe


class DemoTraining:
    """The three stages of one run in one folder; `run` goes on from wherever the folder says."""

    def __init__(self, folder: Path, recipe: Recipe, say: Say) -> None:
        self.folder = folder
        self.recipe = recipe
        self.say = say
        self.pool = ClipPool(folder / "clips", recipe.size, recipe.motions)
        self.preview = preview_clips(recipe.size)

    def run(self) -> Path:
        """Returns the checkpoint folder, in the published layout."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for made in self.pool.fill():
            if made % 100 == 0:
                self.say(f"clips: {made} of {self.recipe.motions} motions")
        vae = self._vae_stage()
        denoiser = self._image_stage(vae)
        self._motion_stage(denoiser, vae)
        return self.folder / "checkpoint"

    def _vae_stage(self) -> AutoencoderKL:
        recipe = self.recipe
        torch.manual_seed(1)
        vae = vae_stage.new_autoencoder(recipe.size).to(recipe.device)
        stage = Stage(
            "vae",
            self.folder,
            vae,
            recipe.vae,
            learning_rate=lambda p, step: vae_stage.LEARNING_RATE * cosine_after(0.0, p, step, warm_up=30),
            decay=0.995,
        )
        stage.resume()
        if stage.progress < 1:
            stage.train(
                lambda start: vae_stage.batches(self.pool, start, lambda: stage.progress),
                partial(vae_stage.loss, vae, precision=recipe.precision),
                every=recipe.report_every,
                report=self._report_vae,
            )
        trained = stage.average.modules
        trained.register_to_config(scaling_factor=vae_stage.latent_scale(trained, self.pool))
        return trained

    def _report_vae(self, stage: Stage) -> None:
        sheet, quality = vae_stage.round_trip(stage.average.modules, self.preview)
        self._show(stage, sheet, f"person {quality:.1f} dB after the round trip")

    def _image_stage(self, vae: AutoencoderKL) -> Denoiser:
        recipe = self.recipe
        denoiser = Denoiser.fresh(seed=2).to(recipe.device)
        remove_motion(denoiser.unet)
        stage = Stage(
            "images",
            self.folder,
            denoiser,
            recipe.images,
            learning_rate=lambda p, step: IMAGE_RATE * cosine_after(0.5, p, step, warm_up=60),
        )
        stage.resume()
        if stage.progress < 1:
            stage.train(
                lambda start: denoiser_stage.batches(
                    self.pool,
                    start,
                    shapes=recipe.image_shapes,
                    consecutive=False,
                    stream=21,
                ),
                DenoiserLoss(denoiser, vae, recipe.precision, coupled=False, reading_weight=IMAGE_READING),
                every=recipe.report_every,
                report=lambda s: self._report_denoiser(s, vae, motion=False),
            )
        return cast(Denoiser, stage.average.modules)

    def _motion_stage(self, images: Denoiser, vae: AutoencoderKL) -> None:
        recipe = self.recipe
        denoiser = Denoiser.fresh(seed=3).to(recipe.device)
        denoiser.load_state_dict(images.state_dict(), strict=False)  # all but the motion modules
        named = [(name, p) for name, p in denoiser.named_parameters() if p.requires_grad]
        groups = [
            {"params": [p for name, p in named if "motion_modules" in name], "share": 1.0},
            {"params": [p for name, p in named if "motion_modules" not in name], "share": REST_SHARE},
        ]
        stage = Stage(
            "motion",
            self.folder,
            denoiser,
            recipe.motion,
            learning_rate=lambda p, step: MOTION_RATE * cosine_after(0.5, p, step, warm_up=40),
            groups=groups,
        )
        stage.resume()
        if stage.progress < 1:
            stage.train(
                lambda start: denoiser_stage.batches(
                    self.pool,
                    start,
                    shapes=recipe.motion_shapes,
                    consecutive=True,
                    stream=31,
                ),
                DenoiserLoss(denoiser, vae, recipe.precision, coupled=True, reading_weight=MOTION_READING),
                every=recipe.report_every,
                report=lambda s: self._report_denoiser(s, vae, motion=True),
            )

    def _report_denoiser(self, stage: Stage, vae: AutoencoderKL, *, motion: bool) -> None:
        denoiser = stage.average.modules
        write_checkpoint(self.folder / "checkpoint", denoiser, vae, self.recipe.size)
        parts = as_pipeline_parts(denoiser, vae, self.folder / "tokenizer")
        sheet, quality = contact_sheet(parts, self.preview, motion=motion)
        self._show(stage, sheet, f"person {quality:.1f} dB")

    def _show(self, stage: Stage, sheet: object, words: str) -> None:
        save_sheet(self.folder / f"{stage.name}_{stage.step:06d}.png", sheet)
        plot_losses(stage.log, self.folder / f"{stage.name}_losses.png")
        self.say(f"{stage.name}: step {stage.step}, {stage.seconds / 60:.1f} min, {words}")
