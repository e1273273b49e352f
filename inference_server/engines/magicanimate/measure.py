"""Seconds and bytes of runs on the device at hand, with random weights: no download is needed to know a machine."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from inference_server.engines.magicanimate.counting import Case
from inference_server.engines.magicanimate.loader import Networks
from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline, on_device
from inference_server.engines.magicanimate.placement import PLANS, Plan
from inference_server.errors import UserError

VARIANTS: dict[str, dict[str, Any]] = {
    "on": {},
    "off": {"sharing": False},
    "batched": {"window_batch": 2},
    "compiled": {"compiled": True},
    "xformers": {"attention": "xformers"},
}
"""What is compared: how each differs from work shared, one window at a time, nothing compiled, SDPA."""


def make_variants(
    names: Sequence[str], networks: Networks, device: torch.device, plan: Plan = "resident"
) -> tuple[dict[str, MagicAnimatePipeline], dict[str, str]]:
    """Pipelines over the same weights, but for a compiled one, and why the others can't be had here."""
    pipelines, left_out = {}, {}
    for name in names:
        try:
            options = {"window_batch": 1, **VARIANTS[name]}
            own = deepcopy(networks) if options.get("compiled") else networks
            pipelines[name] = MagicAnimatePipeline(own, device, plan=plan, **options)
        except UserError as error:
            left_out[name] = error.message
    return pipelines, left_out


@dataclass(frozen=True)
class Timing:
    """Seconds of whole runs (preparation and loop) and of decoding.

    cpu_seconds: processor time of preparation and loop, which other programs on the machine disturb less.
    """

    frames: int
    seconds: tuple[float, ...]
    decode_seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]

    def summary(self) -> dict[str, Any]:
        total = [a + b for a, b in zip(self.seconds, self.decode_seconds, strict=True)]
        return {
            **asdict(self),
            "median_s": statistics.median(self.seconds),
            "min_s": min(self.seconds),
            "min_cpu_s": min(self.cpu_seconds),
            "decode_median_s": statistics.median(self.decode_seconds),
            "seconds_per_frame": statistics.median(total) / self.frames,
        }


def time_variants(
    variants: Mapping[str, MagicAnimatePipeline],
    case: Case,
    rounds: int,
    on_round: Callable[[int], None] = lambda _n: None,
) -> dict[str, Timing]:
    """Run every variant once per round, one after the other, so that a machine's moods meet all of them alike.

    Two rounds before those that count, in which layers are compiled and libraries choose their kernels.
    """
    taken: dict[str, list[tuple[float, float, float]]] = {name: [] for name in variants}
    for number in range(-1, rounds + 1):
        for name, pipeline in variants.items():
            seconds = timed_run(pipeline, case)
            if number > 0:
                taken[name].append(seconds)
        on_round(number)
    return {name: Timing(case.frames, *zip(*seconds, strict=True)) for name, seconds in taken.items()}


def timed_run(pipeline: MagicAnimatePipeline, case: Case, steps: int | None = None) -> tuple[float, float, float]:
    """Seconds of preparation and loop, of decoding, and processor seconds of the first."""
    generator = np.random.default_rng(0)
    picture = generator.integers(0, 256, (case.size, case.size, 3), np.uint8)
    maps = generator.integers(0, 25, (case.frames, case.size, case.size), np.uint8)
    steps = steps or case.steps
    pipeline.store.clear()
    cpu, marks = time.process_time(), [clock(pipeline.device)]
    run = pipeline.prepare(
        picture,
        maps,
        steps=steps,
        guidance=[case.guidance_scale] * steps,
        context_frames=case.context_frames,
        context_overlap=case.context_overlap,
    )
    final = pipeline.denoise(run)
    marks.append(clock(pipeline.device))
    cpu = time.process_time() - cpu
    for _ in pipeline.decode(final):
        pass
    marks.append(clock(pipeline.device))
    return marks[1] - marks[0], marks[2] - marks[1], cpu


def peaks(variants: Mapping[str, MagicAnimatePipeline], case: Case) -> dict[str, dict[str, int]]:
    """Per variant the most CUDA memory that tensors took in a run, and that torch had reserved for them.

    A run of two steps tells: no step takes more than the one before. Other variants' weights do not count.
    """
    found = {}
    for name, pipeline in variants.items():
        gc.collect()
        torch.cuda.empty_cache()
        device = pipeline.device
        own = sum(p.nbytes for network in pipeline.networks.modules.values() for p in on_device(network))
        others = torch.cuda.memory_allocated(device) - own
        torch.cuda.reset_peak_memory_stats(device)
        timed_run(pipeline, case, steps=2)
        found[name] = {
            "allocated": torch.cuda.max_memory_allocated(device) - others,
            "reserved": torch.cuda.max_memory_reserved(device) - others,
        }
    return found


def peaks_of_plans(networks: Networks, device: torch.device, case: Case) -> dict[str, dict[str, int]]:
    """As `peaks`, for every offload plan. The last one leaves the networks to it."""
    return {plan: peaks({plan: MagicAnimatePipeline(networks, device, plan=plan)}, case)[plan] for plan in PLANS}


def clock(device: torch.device) -> float:
    """Seconds, once the device has done what it was given."""
    wait(device)
    return time.perf_counter()


def matmul_rate(device: torch.device, dtype: torch.dtype, side: int = 4096) -> float:
    """Measured FLOP per second of a square matrix product, best of ten: what the device can do at most in practice."""
    side = side if device.type == "cuda" else 1024
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        start = clock(device)
        a @ b
        best = min(best, clock(device) - start)
    return 2 * side**3 / best


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
