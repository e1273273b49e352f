"""An engine without a network: latents walk for some steps, with every fault that a real one can have.

It keeps its trajectory as MagicAnimate does, fp16 per step, so that resuming can be judged without torch.
"""

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from inference_server.engines.options import EngineOptions
from inference_server.engines.protocol import (
    ConditionTrack,
    EngineInfo,
    EngineSettings,
    Images,
    Progress,
    Report,
    Task,
    WeightSet,
)
from inference_server.errors import UserError

Fault = Literal[
    "none", "oom", "oom-always", "cublas", "overflow", "hang", "kill-once", "kill-always", "kill-everywhere",
    "segfault", "error", "broken-context", "base", "disk",
]  # fmt: skip
LOAD_FAULT = "WALKER_LOAD_FAULT"
"""Environment: `oom` fills the device while weights are loaded, unless they are loaded for little memory."""
broken = False
"""This process's device context: no job gets through once it is."""


class WalkerSettings(EngineSettings):
    steps: int = 5
    seed: int = 1
    step_seconds: float = 0.0
    fault: Fault = "none"
    fault_step: int = 2


WALKER = EngineInfo(
    id="walker",
    title="Walker",
    tracks=(ConditionTrack("densepose", "DensePose part maps", "Body parts", "densepose-labels"),),
    settings=WalkerSettings,
    weight_sets=(WeightSet("walker", "Walker weights", demo=True, size_multiple=16, default_size=(64, 64)),),
    implementation="walker_engine:load",
)


def load(folder: Path, options: EngineOptions) -> "Walker":
    if os.environ.get(LOAD_FAULT) == "oom" and not options.low_memory:
        raise RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported asynchronously")
    return Walker(options)


class Walker:
    info = WALKER

    def __init__(self, options: EngineOptions) -> None:
        self.low_memory = options.low_memory
        self.dtype = options.dtype

    def describe(self) -> dict[str, Any]:
        return {"device": "none", "dtype": self.dtype, "low_memory": self.low_memory}

    def animate(self, task: Task, report: Report) -> Iterator[tuple[int, Images]]:
        if broken:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        settings = task.settings
        assert isinstance(settings, WalkerSettings)
        assert task.trajectory is not None
        labels = task.tracks["densepose"]
        task.trajectory.mkdir(parents=True, exist_ok=True)
        if task.base is not None and settings.fault == "base":
            raise UserError("The base is of no use", fix="Run it in full.", code="base-unusable")
        with (task.trajectory / "runs").open("a") as runs:
            runs.write(f"{os.getpid()}\n")
        latents = np.random.default_rng(settings.seed).standard_normal((len(labels), 4, 8, 8)).astype(np.float32)
        start = self._kept(task.trajectory, settings.steps)
        if start:
            latents = np.load(task.trajectory / f"{start}.npy").astype(np.float32)
        report(Progress("denoising", start, settings.steps, 0, len(labels)))
        for step in range(start, settings.steps):
            self._fault(settings, step, task.trajectory)
            time.sleep(settings.step_seconds)
            drift = np.random.default_rng(step).standard_normal(latents.shape).astype(np.float32)
            latents = 0.9 * latents + 0.1 * drift * (1 + labels.mean(axis=(1, 2)))[:, None, None, None]
            part = task.trajectory / "part.npy"
            np.save(part, latents.astype(np.float16))
            os.replace(part, task.trajectory / f"{step + 1}.npy")
            preview = np.full((32, 32, 3), step * 9 % 256, np.uint8)
            report(Progress("denoising", step + 1, settings.steps, 0, len(labels), preview))
        np.save(task.trajectory / "final.npy", latents)
        frames = range(len(labels)) if task.base is None else sorted(task.base.changed)
        for done, frame in enumerate(frames):
            level = int(np.clip(latents[frame].mean() * 100 + 128, 0, 255))
            yield frame, np.dstack([np.full_like(labels[frame], level), labels[frame] * 10, labels[frame] * 5])
            report(Progress("decoding", settings.steps, settings.steps, done + 1, len(frames)))

    @staticmethod
    def _kept(folder: Path, steps: int) -> int:
        return max((n for n in range(1, steps + 1) if (folder / f"{n}.npy").is_file()), default=0)

    def _fault(self, settings: WalkerSettings, step: int, folder: Path) -> None:
        global broken
        if settings.fault == "kill-everywhere" and not (folder / f"killed at {step}").exists():
            (folder / f"killed at {step}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if step != settings.fault_step:
            return
        match settings.fault:
            case "oom" if not self.low_memory:
                raise MemoryError("the card is full")
            case "oom-always":
                raise MemoryError("the card is full")
            case "overflow" if self.dtype != "fp32":
                raise UserError("The numbers overflow in float16", fix="Compute with --dtype fp32.", code="overflow")
            case "cublas" if not self.low_memory:
                raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
            case "broken-context" if not (folder / "broken").exists():
                (folder / "broken").touch()
                broken = True
                raise RuntimeError("CUDA error: an illegal memory access was encountered")
            case "hang":
                time.sleep(1e6)
            case "kill-always":
                os.kill(os.getpid(), signal.SIGKILL)
            case "kill-once":
                if not (folder / "killed").exists():
                    (folder / "killed").touch()
                    os.kill(os.getpid(), signal.SIGKILL)
            case "segfault":
                print("the driver says goodbye", flush=True)
                ctypes.string_at(0)
            case "error":
                raise RuntimeError("a matrix is singular")
            case "disk":
                (folder / "filler").write_bytes(bytes(64 * 2**20))
