"""MagicAnimate behind the engine protocol: settings in, frames out, trajectory kept on disk."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inference_server.engines.magicanimate.info import MAGICANIMATE, MagicAnimateSettings
from inference_server.engines.magicanimate.partial import (
    carry_over,
    own_facts,
    padding_multiple,
    plan_partial,
    retimed,
    shared_facts,
)
from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline, Run
from inference_server.engines.options import EngineOptions
from inference_server.engines.protocol import EngineInfo, Images, Progress, Report, Task
from inference_server.engines.trajectory import Trajectory
from inference_server.errors import UserError
from inference_server.sampling.denoise import KeptLatents, follow
from inference_server.sampling.noise import starting_noise
from inference_server.weights.manifest import file_hashes

PREVIEW_SECONDS = 1.0
"""Between previews, which show the middle of what is computed as it is after a step."""
PREVIEW_WITHIN_STEP = 4.0
"""Without a preview, until one shows a frame that a step has just dealt with: the step is long."""


def load(folder: Path, options: EngineOptions) -> "MagicAnimateEngine":
    """Load the checkpoint tree in `folder`. Raises UserError naming what is missing or does not fit."""
    pipeline = MagicAnimatePipeline.from_folder(
        folder,
        device=options.device,
        dtype=options.dtype,
        low_memory=options.low_memory,
        attention=options.attention,
        compiled=options.compile_layers,
        window_batch=options.window_batch,
    )
    return MagicAnimateEngine(folder, pipeline)


def not_finite(what: str, dtype: torch.dtype) -> UserError:
    """Code `overflow` where wider numbers may help, `not-finite` where nothing is wider."""
    if dtype == torch.float32:
        return UserError(
            f"The numbers went out of all range: {what}",
            fix="Lower the guidance; if that does not help, fetch the weights again.",
            code="not-finite",
        )
    name = str(dtype).removeprefix("torch.")
    return UserError(f"The numbers overflow in {name}: {what}", fix="Compute with --dtype fp32.", code="overflow")


class Teller:
    """Reports how far denoising is and, if they are wanted, shows previews now and then."""

    def __init__(self, pipeline: MagicAnimatePipeline, report: Report, previews: bool, steps: int, frames: int) -> None:
        self._pipeline, self._report, self._previews = pipeline, report, previews
        self._steps, self._frames = steps, frames
        self._shown = time.monotonic()

    def tell(self, done: int, part: float, clean: Tensor | None = None, every: float = 0.0) -> None:
        """clean: latents to show if the last preview is `every` seconds ago."""
        preview = None
        if self._previews and clean is not None and time.monotonic() - self._shown >= every:
            preview = next(self._pipeline.decode(clean[:1], small=True))[1]
            self._shown = time.monotonic()
        self._report(Progress("denoising", done, self._steps, 0, self._frames, preview, part))


class MagicAnimateEngine:
    """One loaded pipeline that runs tasks, one at a time."""

    info: EngineInfo = MAGICANIMATE

    def __init__(self, folder: Path, pipeline: MagicAnimatePipeline) -> None:
        self.folder = folder
        self.pipeline = pipeline
        self._hashes: dict[str, str] = {}
        self._decoder = ""

    @property
    def default_size(self) -> tuple[int, int]:
        """Width, height in pixels that the weights were made for."""
        side = int(self.pipeline.networks.unet.config.sample_size) * self.pipeline.scale_factor
        return side, side

    def animate(self, task: Task, report: Report) -> Iterator[tuple[int, Images]]:
        """See `Engine.animate`."""
        settings = task.settings
        assert isinstance(settings, MagicAnimateSettings)
        labels = task.tracks["densepose"]
        frames = len(labels)
        if carry_over(task):
            return
        small = settings.decoder == "small"
        self._decoder = self.pipeline.decoder(small=small)
        report(Progress("preparing", 0, settings.steps, 0, frames))
        try:
            run = self._prepare(task, settings, labels, report)
            base, active = self._base(task, settings, run)
            latents = self._denoise(task, settings, run, base, active, report)
            chosen = [frame for frame in range(frames) if active is None or frame in active]
            for done, (frame, image) in enumerate(self.pipeline.decode(latents, chosen, small=small)):
                yield frame, image
                report(Progress("decoding", settings.steps, settings.steps, done + 1, len(chosen)))
        except FloatingPointError as error:
            raise not_finite(str(error), self.pipeline.dtype) from error

    def _prepare(self, task: Task, settings: MagicAnimateSettings, labels: Images, report: Report) -> Run:
        frames = len(labels)
        return self.pipeline.prepare(
            task.reference,
            labels,
            steps=settings.steps,
            guidance=settings.guidance,
            pose_strength=settings.pose_strength,
            seed=settings.seed,
            shared_noise=settings.shared_noise,
            windows=settings.windows,
            context_frames=settings.context_frames,
            context_overlap=settings.context_overlap,
            pad_to_multiple=padding_multiple(settings),
            solver=settings.solver,
            on_reference=lambda done: report(Progress("preparing", done, settings.steps, 0, frames)),
        )

    def _base(
        self, task: Task, settings: MagicAnimateSettings, run: Run
    ) -> tuple[KeptLatents | None, frozenset[int] | None]:
        """The run to follow and the frames to compute, to which `run` is cut down; (None, None) computes all."""
        if task.base is None:
            return None, None
        base, count = task.base, len(run.latents)
        earlier = Trajectory.of_base(
            base.trajectory,
            settings.steps,
            run.latents.shape,
            {**shared_facts(task), "decoder": self._decoder},
            any_length=base.sources is not None,
        )
        kept = retimed(earlier, base, settings, run.frames)
        run.windows, active = plan_partial(base, settings, run.frames)
        if settings.redo_seed is not None:
            shape, shared = tuple(run.latents.shape[1:]), settings.shared_noise
            noise = starting_noise(settings.redo_seed, count, shape, shared=shared)
            redone = sorted(active)
            run.latents[redone] = noise[redone] * run.solver.init_noise_sigma
        follow(run.latents, kept, 0, sorted(set(range(count)) - active))
        return kept, active

    def _denoise(
        self,
        task: Task,
        settings: MagicAnimateSettings,
        run: Run,
        base: KeptLatents | None,
        active: frozenset[int] | None,
        report: Report,
    ) -> Tensor:
        """Final latents; goes on from the task's own trajectory if it holds steps of this very run."""
        start, trajectory = 0, None
        if task.trajectory is not None:
            facts = {**own_facts(task, active), "decoder": self._decoder}
            trajectory = Trajectory(task.trajectory, settings.steps, run.latents.shape, facts)
            start, latents = trajectory.start(run.latents, resumable=settings.solver == "ddim")
            run.latents = trajectory.mapped(latents)
        teller = Teller(self.pipeline, report, task.previews, settings.steps, run.frames)
        middle = sorted(active)[len(active) // 2] if active else run.frames // 2

        def on_step(done: int, latents: Tensor, clean: Tensor) -> None:
            if trajectory is not None:
                trajectory.save(done, latents)
            teller.tell(done, 0.0, clean, 0.0 if done == settings.steps else PREVIEW_SECONDS)

        def on_round(done: int, part: float, clean: Tensor | None) -> None:
            teller.tell(done, part, clean, PREVIEW_WITHIN_STEP)

        teller.tell(start, 0.0)
        return self.pipeline.denoise(
            run, on_step, on_round=on_round, start=start, active=active, kept=base, watched=[middle]
        )

    def describe(self) -> dict[str, Any]:
        """See `Engine.describe`."""
        pipeline = self.pipeline
        if not self._hashes:
            self._hashes = file_hashes(self.folder, pipeline.networks.files)
        device = pipeline.device
        return {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "dtype": str(pipeline.dtype).removeprefix("torch."),
            "placement": pipeline.placement.plan,
            "attention": pipeline.attention.name,
            "decoder": self._decoder,
            "weights": self._hashes,
            "notes": list(pipeline.networks.notes),
        }
