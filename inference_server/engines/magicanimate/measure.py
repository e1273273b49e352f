"""FLOPs, seconds and bytes of a run, with random weights: no download is needed to know what a machine can do."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline
from inference_server.engines.magicanimate.placement import Placement
from inference_server.engines.magicanimate.predictor import Hints, NoisePredictor
from inference_server.engines.magicanimate.real_size import UNET, random_networks, random_unets
from inference_server.engines.magicanimate.references import encode_reference
from inference_server.engines.memory import LiveBytes
from inference_server.models.spec import Sharing

ORIGINAL_TFLOP_PER_STEP = 45.98
"""Of the published code at 512 x 512, 16 frames, guidance: 39.87 UNet, 4.53 ControlNet, 1.57 appearance encoder."""

CPU_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
"""The kernel that attention falls to on the CPU, which torch's counter does not know."""


def attention_flops(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any) -> int:
    """Two matrix products: query x key, weights x value."""
    return int(sdpa_flop_count(query, key, value))


@dataclass(frozen=True)
class Case:
    """What is measured. size: pixels of a square picture. channels: widths of the UNets' blocks."""

    size: int = 512
    frames: int = 16
    steps: int = 25
    guidance_scale: float = 7.5
    channels: tuple[int, ...] = tuple(UNET["block_out_channels"])


def count_flops(case: Case, *sharings: Sharing) -> list[dict[str, float]]:
    """TFLOP (2 per multiply-add) of one denoising step over one window of `case.frames` frames, at no memory.

    One answer per sharing. Counted on the second step, so that what is done once per job does not count; the
    appearance encoder does, as one pass is needed per step whether it is made before the loop or in it.
    """
    cpu, side = torch.device("cpu"), case.size // 8
    with FakeTensorMode(), torch.no_grad():
        unet, appearance, controlnet = random_unets(cpu, torch.float32, case.channels)
        picture = torch.empty(1, 4, side, side)
        text = torch.empty(1, 77, unet.config.cross_attention_dim)
        parts = {"unet": unet, "appearance": appearance, "controlnet": controlnet}
        window = tuple(range(case.frames))
        latents = torch.empty(case.frames, 4, side, side)
        answers = []
        for sharing in sharings:
            for network in (unet, appearance, controlnet):
                network.context.sharing = sharing
                network.context.text_cache.clear()
            predictor = NoisePredictor(
                unet=unet,
                controlnet=controlnet,
                placement=Placement(parts, cpu),
                timesteps=[961, 921],
                windows=[window],
                text=text,
                hints=Hints(controlnet, lambda frames: torch.empty(len(frames), 3, case.size, case.size)),
                references=lambda _step: encode_reference(appearance, picture, 961, text),
                guidance=[case.guidance_scale] * 2,
            )
            predictor(0, [window], latents)
            counter = FlopCounterMode(display=False, custom_mapping={CPU_ATTENTION: attention_flops})
            with counter:
                predictor(1, [window], latents)
            answers.append(tflops(counter, parts))
    return answers


def tflops(counter: FlopCounterMode, parts: Mapping[str, torch.nn.Module]) -> dict[str, float]:
    """The counter's total as `tflop_per_step`, and what each network took of it."""
    counts = counter.get_flop_counts()
    named = {name: sum(counts.get(type(network).__name__, {}).values()) / 1e12 for name, network in parts.items()}
    return {"tflop_per_step": counter.get_total_flops() / 1e12, **named}


@dataclass(frozen=True)
class Timing:
    """Seconds of whole runs (preparation and loop), of decoding, and the device's peak where it can be told.

    cpu_seconds: processor time of preparation and loop, which other programs on the machine disturb less.
    """

    name: str
    frames: int
    seconds: tuple[float, ...]
    decode_seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    peak_bytes: int | None

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
    variants: dict[str, MagicAnimatePipeline],
    case: Case,
    rounds: int,
    on_round: Callable[[int], None] = lambda _n: None,
) -> list[Timing]:
    """Run every variant once per round, one after the other, so that a machine's moods meet all of them alike."""
    generator = np.random.default_rng(0)
    picture = generator.integers(0, 256, (case.size, case.size, 3), np.uint8)
    maps = generator.integers(0, 25, (case.frames, case.size, case.size), np.uint8)
    seconds: dict[str, list[tuple[float, float, float]]] = {name: [] for name in variants}
    peaks: dict[str, int | None] = {}
    for number in range(rounds + 1):  # the first warms up and does not count
        for name, pipeline in variants.items():
            pipeline.store.clear()
            cuda = pipeline.device.type == "cuda"
            if cuda:
                torch.cuda.reset_peak_memory_stats()
            cpu, marks = time.process_time(), [clock(pipeline.device)]
            run = pipeline.prepare(picture, maps, steps=case.steps, guidance=[case.guidance_scale] * case.steps)
            final = pipeline.denoise(run)
            marks.append(clock(pipeline.device))
            cpu = time.process_time() - cpu
            for _ in pipeline.decode(final):
                pass
            marks.append(clock(pipeline.device))
            if number:
                seconds[name].append((marks[1] - marks[0], marks[2] - marks[1], cpu))
            peaks[name] = torch.cuda.max_memory_allocated() if cuda else None
        on_round(number)
    return [
        Timing(
            name,
            case.frames,
            seconds=tuple(loop for loop, _, _ in taken),
            decode_seconds=tuple(decode for _, decode, _ in taken),
            cpu_seconds=tuple(cpu for _, _, cpu in taken),
            peak_bytes=peaks[name],
        )
        for name, taken in seconds.items()
    ]


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
        wait(device)
        start = time.perf_counter()
        a @ b
        wait(device)
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    elif device.type == "mps":
        torch.mps.synchronize()


def make_variants(
    names: Sequence[str], case: Case, device: torch.device, dtype: torch.dtype
) -> dict[str, MagicAnimatePipeline]:
    """Pipelines over the same random weights: on, off (sharing), batched (two windows at once), compiled, xformers."""
    networks = random_networks(device, dtype, case.channels)
    makers: dict[str, Callable[[], MagicAnimatePipeline]] = {
        "on": lambda: MagicAnimatePipeline(networks, device),
        "off": lambda: MagicAnimatePipeline(networks, device, sharing=Sharing.none()),
        "batched": lambda: MagicAnimatePipeline(networks, device, window_batch=2),
        "xformers": lambda: MagicAnimatePipeline(networks, device, attention="xformers"),
        "compiled": lambda: MagicAnimatePipeline(random_networks(device, dtype, case.channels), device, compiled=True),
    }
    return {name: makers[name]() for name in names}


def peak_memory(case: Case, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """Bytes of the weights, and the peak beside them while windows run, over two steps of the case."""
    pipeline = make_variants(["on"], case, device, dtype)["on"]
    picture = np.zeros((case.size, case.size, 3), np.uint8)
    maps = np.zeros((case.frames, case.size, case.size), np.uint8)
    run = pipeline.prepare(picture, maps, steps=2, guidance=[case.guidance_scale] * 2)
    peaks = window_peaks(run.predictor)
    pipeline.denoise(run)
    networks = pipeline.placement.networks.values()
    weights = sum(p.nbytes for network in networks for p in network.parameters())
    report = {"weight_bytes": weights, "window_peak_bytes": max(peaks)}
    if device.type == "cuda":
        report["max_memory_allocated"] = torch.cuda.max_memory_allocated()
    return report


def window_peaks(predictor: NoisePredictor) -> list[int]:
    """A list that gets the peak of tensor bytes of every window that the predictor runs from now on."""
    peaks: list[int] = []
    original = predictor.predict

    def measured(*args: Any) -> torch.Tensor:
        with LiveBytes() as bytes_:
            out = original(*args)
        peaks.append(bytes_.peak)
        return out

    predictor.predict = measured  # type: ignore[method-assign, assignment]
    return peaks
