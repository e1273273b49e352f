"""One job in the worker: inputs -> engine -> frames, video, recipe, credentials."""

import contextlib
import importlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_server.engines.protocol import Base, Engine, EngineInfo, Progress, Task
from inference_server.engines.registry import find_engine
from inference_server.jobs.admission import parse_settings
from inference_server.jobs.blobs import Blobs
from inference_server.jobs.folder import DataFolder
from inference_server.jobs.messages import Advanced, Done, FrameDone, Report, Run
from inference_server.jobs.model import JobBody, JobResult, Stage
from inference_server.media.files import replacing, sync, sync_tree, write_bytes, write_durably
from inference_server.media.images import png_bytes, read_image
from inference_server.media.labels import read_labels
from inference_server.media.limits import Limits
from inference_server.media.video import write_mp4
from inference_server.provenance.credentials import Credentials
from inference_server.provenance.identity import Identity
from inference_server.provenance.recipe import make_recipe, write_recipe
from inference_server.weights.manifest import tree_hash

PREVIEW_EVERY = 0.5
"""Seconds between preview pictures."""
TELL_EVERY = 0.2
"""Seconds between reports within a step."""


class JobRun:
    """Everything that is written goes through temporary names, so that a killed run leaves no half files.

    check: raises Cancelled or UserError when the run has to end; asked at every round of windows and every frame.
    """

    def __init__(
        self,
        command: Run,
        *,
        folder: DataFolder,
        limits: Limits,
        identity: Identity,
        load: Callable[[EngineInfo], Engine],
        check: Callable[[], None],
        send: Callable[[Report], None],
        free_memory: Callable[[], int | None],
    ) -> None:
        self.command = command
        self.job = command.job
        self.body = JobBody.model_validate(command.body)
        self.folder = folder
        self.blobs = Blobs(folder, limits)
        self.limits = limits
        self.load = load
        self.check = check
        self.send = send
        self.free_memory = free_memory
        self.frames_done: set[int] = set()
        self._preview_at = self._told_at = 0.0
        self._signer = identity.fingerprint
        self._credentials = Credentials(
            identity,
            engine=self.body.engine,
            weights=self.body.weights,
            reference=self.body.reference,
            title=self.body.name,
        )

    def run(self) -> None:
        """Raises UserError, Cancelled, MemoryError, OSError; on return the result is complete and told."""
        began = time.monotonic()
        self.folder.frames(self.job).mkdir(parents=True, exist_ok=True)
        self.report(Progress("loading"))
        info = find_engine(self.body.engine)
        task = self.read_task(info)
        computed: set[int] = set()
        description: dict[str, Any] = {}
        if self.command.base is not None:
            self.take_unchanged()
        if not self.carry_over(task, info):
            engine = self.load(info)
            self.report(Progress("preparing"))
            for frame, image in engine.animate(task, self.report):
                self.save_frame(frame, image)
                computed.add(frame)
                self.check()
            description = engine.describe()
        self._tell("writing")
        height, width = task.reference.shape[:2]
        self.write_video()
        self.write_recipe(task, description, computed, (width, height))
        result = JobResult(
            frames=self.body.frames,
            width=width,
            height=height,
            fps=self.body.fps,
            computed_frames=len(computed),
            seconds=round(time.monotonic() - began, 3),
            demo_weights=self.command.demo,
        )
        # Last of all: whoever finds it knows that the job is complete, whatever happened to the message.
        # What it vouches for is on the disk by then, or a power cut could leave it beside empty frames.
        sync_tree(self.folder.frames(self.job))
        for name in ("video.mp4", "recipe.json"):
            sync(self.folder.job(self.job) / name)
        write_durably(self.folder.job(self.job) / "result.json", result.model_dump_json().encode())
        self.send(Done(self.job, result.model_dump()))

    def read_task(self, info: EngineInfo) -> Task:
        return Task(
            reference=read_image(self.blobs.read(self.body.reference), max_pixels=self.limits.pixels),
            tracks={name: self._labels(hashes) for name, hashes in self.body.tracks.items()},
            settings=parse_settings(info, self.body.settings),
            trajectory=self.folder.trajectory(self.job),
            base=base_of(self.command, self.body, self.folder),
            weights=tree_hash(self.command.weights_folder),
            previews=True,
        )

    def carry_over(self, task: Task, info: EngineInfo) -> bool:
        """Whether the base has all frames, so that no weights have to be loaded; the kept steps follow its order."""
        if task.base is None or task.base.changed:
            return False
        if task.base.sources is None:
            return True
        module, _, function = info.carry_over.partition(":")
        return bool(module) and getattr(importlib.import_module(module), function)(task)

    def take_unchanged(self) -> None:
        """Link the base's frames that stay, and its trajectory if nothing is to be computed at all."""
        assert self.command.base is not None
        changed = set(self.command.changed)
        for frame, source in enumerate(self.command.sources):
            if frame not in changed and source is not None:
                link_or_copy(self.folder.frame(self.command.base, source), self.folder.frame(self.job, frame))
                self._frame_done(frame)
        own, other = self.folder.trajectory(self.job), self.folder.trajectory(self.command.base)
        if not changed and not self.command.retimed and not own.exists():
            part = own.with_name("trajectory.part")
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(other, part)
            os.rename(part, own)

    def save_frame(self, frame: int, image: NDArray[np.uint8]) -> None:
        data = self._credentials.sign_png(png_bytes(image))
        write_bytes(self.folder.frame(self.job, frame), data)
        self._frame_done(frame)
        self._write_preview(data)

    def write_video(self) -> None:
        def frames() -> Iterator[NDArray[np.uint8]]:
            for frame in range(self.body.frames):
                self.check()
                yield read_image(self.folder.frame(self.job, frame), max_pixels=self.limits.pixels)

        draft = self.folder.job(self.job) / "draft.mp4"
        write_mp4(draft, frames(), self.body.fps)
        self._credentials.sign_mp4(draft)
        os.replace(draft, self.folder.job(self.job) / "video.mp4")

    def write_recipe(self, task: Task, description: dict[str, Any], computed: set[int], size: tuple[int, int]) -> None:
        base = None
        if self.command.base is not None:
            base = {"job": str(self.command.base), "computed": sorted(computed), "sources": self.command.sources}
        recipe = make_recipe(
            engine=self.body.engine,
            weights=self.body.weights,
            settings=task.settings,
            reference=self.body.reference,
            tracks=self.body.tracks,
            frames=self.body.frames,
            size=size,
            fps=self.body.fps,
            description={**(description or self._base_description()), "weights_hash": task.weights},
            base=base,
            signer=self._signer,
        )
        write_recipe(self.folder.job(self.job) / "recipe.json", recipe)

    def report(self, progress: Progress) -> None:
        """What the engine calls after every round of windows. Raises Cancelled to end the run."""
        self.check()
        if progress.preview is not None and time.monotonic() - self._preview_at > PREVIEW_EVERY:
            self._write_preview(self._credentials.sign_png(png_bytes(progress.preview)))
        if not progress.part or time.monotonic() - self._told_at > TELL_EVERY:
            self._tell(progress.stage, progress.step, progress.steps, progress.part)

    def _tell(self, stage: Stage, step: int = 0, steps: int = 0, part: float = 0.0) -> None:
        self._told_at = time.monotonic()
        self.send(
            Advanced(
                self.job,
                stage,
                step,
                steps,
                frames_done=len(self.frames_done),
                frames=self.body.frames,
                memory_free=self.free_memory(),
                part=part,
            )
        )

    def _frame_done(self, frame: int) -> None:
        self.frames_done.add(frame)
        self.send(FrameDone(self.job, frame))

    def _write_preview(self, data: bytes) -> None:
        """data: a signed PNG."""
        self._preview_at = time.monotonic()
        with contextlib.suppress(PermissionError):  # Windows: somebody is reading the last one
            write_bytes(self.folder.job(self.job) / "preview.png", data)

    def _labels(self, hashes: Sequence[str]) -> NDArray[np.uint8]:
        """Part maps (F, H, W) in a file without a name, so that a long clip takes no memory."""
        with tempfile.TemporaryFile(dir=self.folder.job(self.job)) as file:
            for digest, same in groupby(hashes):
                labels = read_labels(self.blobs.read(digest), name="A part map", max_pixels=self.limits.pixels)
                for _ in same:
                    file.write(labels.tobytes())
            file.flush()
            return np.memmap(file, np.uint8, "r", shape=(len(hashes), *labels.shape))

    def _base_description(self) -> dict[str, Any]:
        """Nothing was computed: the pixels are the base's, so its engine is described."""
        assert self.command.base is not None
        recipe = json.loads((self.folder.job(self.command.base) / "recipe.json").read_text())
        return dict(recipe["run"])


def base_of(command: Run, body: JobBody, folder: DataFolder) -> Base | None:
    """The earlier result as the engine takes it."""
    if command.base is None:
        return None
    return Base(
        folder.trajectory(command.base),
        changed=frozenset(command.changed),
        keep=frozenset(body.keep) - frozenset(command.changed),
        sources=command.sources if command.retimed else None,
        frames=command.base_frames,
    )


def link_or_copy(source: Path, target: Path) -> None:
    """One file under two names where the file system can, so that a partial result costs no space for the rest."""
    try:
        target.unlink(missing_ok=True)
        os.link(source, target)
    except OSError:
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
