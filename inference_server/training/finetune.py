"""Go on training any checkpoint in the published layout on own clips: videos and their part maps. The VAE is frozen."""

import argparse
import math
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline
from inference_server.errors import UserError
from inference_server.media.fit import fit_image, fit_labels
from inference_server.media.labels import read_label_clip
from inference_server.media.video import PICTURE_SUFFIXES, read_frames
from inference_server.training import denoiser_stage
from inference_server.training.budget import Budget, cosine_after
from inference_server.training.characters import Clip
from inference_server.training.denoiser_stage import DenoiserLoss
from inference_server.training.networks import Denoiser
from inference_server.training.preview import contact_sheet, plot_losses, save_sheet
from inference_server.training.stage import Stage
from inference_server.weights.catalogue import DIFFUSERS_NAMES, TEMPORAL_NAMES

STEPS = 2000
REPORT_EVERY = 200
CLIPS_SHOWN = 3
READING_WEIGHT = 0.03


class OwnClips:
    """A folder of clips, read once. A reference can be any frame of the same clip."""

    def __init__(self, folder: Path, size: int) -> None:
        """Raises UserError for a folder without videos, a video without maps, and unreadable files."""
        videos = sorted(
            p for p in (folder / "videos").glob("*") if p.is_dir() or p.suffix.lower() not in PICTURE_SUFFIXES
        )
        if not videos:
            raise UserError(
                f"{folder} has no videos to learn from",
                fix="Put them in a folder videos there, and part maps of the same names in a folder maps.",
                code="no-clips",
            )
        self.size = size
        self.clips = [self._read(video, folder / "maps") for video in videos]

    def _read(self, video: Path, maps: Path) -> Clip:
        found = [p for p in maps.glob("*") if p.stem == video.stem]
        if not found:
            raise UserError(
                f"{video.name} has no part maps",
                fix=f"Put {video.stem}.mp4 or a folder {video.stem} of PNGs in {maps}.",
                code="file-missing",
            )
        frames = np.stack([fit_image(f, self.size, self.size) for f in read_frames(video).frames])
        parts = np.stack([fit_labels(p, self.size, self.size) for p in read_label_clip(found[0]).labels])
        count = min(len(frames), len(parts))
        return Clip(frames[:count], parts[:count], frames[:count], parts[:count])

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, number: int) -> Clip:
        return self.clips[number]


class Finetuning:
    """One run in one folder. `args`: as parsed by training.command."""

    def __init__(self, args: argparse.Namespace, device: torch.device, say: Callable[[str], None]) -> None:
        self.args = args
        self.say = say
        self.device = device
        pipeline = MagicAnimatePipeline.from_folder(args.weights, device="cpu", dtype="fp32")
        self.networks = pipeline.networks
        self.clips = OwnClips(args.clips, args.size or int(self.networks.vae.config.sample_size))
        networks = self.networks
        self.denoiser = Denoiser(networks.unet, networks.appearance, networks.controlnet, pipeline.text().clone())
        self.denoiser.to(device).requires_grad_(True)
        self.vae = networks.vae.to(device)

    def run(self) -> Path:
        args = self.args
        args.out.mkdir(parents=True, exist_ok=True)
        longest = max(len(clip.frames) for clip in self.clips.clips)
        frames = min(args.frames, self.denoiser.unet.spec.max_window, longest)
        stage = Stage(
            "finetune",
            args.out,
            self.denoiser,
            Budget(args.steps or STEPS, args.minutes * 60 if args.minutes else math.inf),
            learning_rate=lambda p, step: args.learning_rate * cosine_after(0.5, p, step, warm_up=50),
        )
        if args.resume and stage.resume():
            self.say(f"goes on at step {stage.step}")
        precision = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        stage.train(
            partial(
                denoiser_stage.batches,
                self.clips,
                shapes=((1, frames),),
                consecutive=True,
                stream=41,
                new_colours=False,
            ),
            DenoiserLoss(self.denoiser, self.vae, precision, coupled=True, reading_weight=READING_WEIGHT),
            every=REPORT_EVERY,
            report=self._report,
        )
        return args.out / "checkpoint"

    def _report(self, stage: Stage) -> None:
        self._write(stage.average.modules)
        pipeline = MagicAnimatePipeline.from_folder(self.args.out / "checkpoint", device=str(self.device))
        shown = [Clip(c.frames[:16], c.parts[:16], c.references[:1], c.reference_parts[:1]) for c in self.clips.clips]
        sheet, quality = contact_sheet(pipeline.networks, shown[:CLIPS_SHOWN], motion=True)
        save_sheet(self.args.out / f"finetune_{stage.step:06d}.png", sheet)
        plot_losses(stage.log, self.args.out / "finetune_losses.png")
        self.say(f"step {stage.step}, {stage.seconds / 60:.1f} min, person {quality:.1f} dB on the clips learned from")

    def _write(self, denoiser: Denoiser) -> None:
        """The tree that was started from, with the trained parts exchanged."""
        new = self.args.out / "checkpoint.part"
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(self.args.weights, new)
        unet = denoiser.unet.state_dict()
        motion = {key: tensor for key, tensor in unet.items() if "motion_modules" in key}
        for place, names, weights in (
            ("stable-diffusion-v1-5/unet", DIFFUSERS_NAMES, {k: v for k, v in unet.items() if k not in motion}),
            ("MagicAnimate/appearance_encoder", DIFFUSERS_NAMES, denoiser.appearance.state_dict()),
            ("MagicAnimate/densepose_controlnet", DIFFUSERS_NAMES, denoiser.controlnet.state_dict()),
            ("MagicAnimate/temporal_attention", TEMPORAL_NAMES, motion),
        ):
            for name in names:
                (new / place / name).unlink(missing_ok=True)
            name = next(name for name in names if name.endswith(".safetensors"))
            save_file({k: v.half().contiguous().cpu() for k, v in weights.items()}, new / place / name)
        result = self.args.out / "checkpoint"
        shutil.rmtree(result, ignore_errors=True)
        new.rename(result)
