"""`bench flops | speed | memory`: what a run costs here, with random weights of the published size."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from inference_server.engines.device import describe_machine, free_memory, pick_device, pick_dtype

if TYPE_CHECKING:
    from inference_server.engines.magicanimate.counting import Case

NAMES = ("on", "off", "batched", "compiled", "xformers")
EVERYWHERE = ("on", "off")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Every measurement takes the same case."""
    parser.add_argument("what", choices=("flops", "speed", "memory"))
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    parser.add_argument("--size", type=int, default=512, help="side of the square picture in pixels")
    parser.add_argument(
        "--frames",
        type=int,
        nargs="+",
        help="frames of the clip; several to compare (default: 16; speed on CUDA: 16 64)",
    )
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--guidance", type=float, default=7.5)
    parser.add_argument("--rounds", type=int, default=5, help="timed runs of each variant, after two to warm up")
    parser.add_argument(
        "--channels", type=lambda text: tuple(map(int, text.split(","))), help="widths, to measure a narrower network"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument(
        "--plan",
        choices=("auto", "resident", "after-use", "unet-alone"),
        default="auto",
        help="networks that stay on the device while speed is measured (default: as many as the server would keep)",
    )
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=NAMES,
        help="sharing on, off, two windows at once, compiled, xformers (default: on off; on CUDA: all)",
    )


def run(args: argparse.Namespace) -> int:
    """Print indented JSON, or JSON on one line."""
    measure = {"flops": flops, "speed": speed, "memory": memory}[args.what]
    report = {"what": args.what, "machine": describe_machine(), **measure(args)}
    print(json.dumps(report) if args.json else json.dumps(report, indent=2))
    return 0


def cases(args: argparse.Namespace, *frames: int) -> "list[Case]":
    """The case of every clip length; `frames` if none are named."""
    from inference_server.engines.magicanimate.counting import Case

    fields = {"size": args.size, "steps": args.steps, "guidance_scale": args.guidance}
    if args.channels:
        fields["channels"] = args.channels
    return [Case(frames=count, **fields) for count in args.frames or frames]


def together(results: list[dict[str, Any]]) -> dict[str, Any]:
    """One case's result stands for itself."""
    return results[0] if len(results) == 1 else {"cases": results}


def flops(args: argparse.Namespace) -> dict[str, Any]:
    """TFLOP per denoising step, shared and not; no weights and no memory needed."""
    from inference_server.engines.magicanimate import counting

    def count(case: "Case") -> dict[str, Any]:
        shared, plain = counting.count_flops(case, True, False)
        return {
            "case": asdict(case),
            **shared,
            "without_sharing": plain,
            "original_tflop_per_step": counting.ORIGINAL_TFLOP_PER_STEP if counting.is_published(case) else None,
        }

    return together([count(case) for case in cases(args, 16)])


def speed(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds per frame of each variant, interleaved; how near they come to the device's rate of matrix products."""
    from inference_server.engines.magicanimate import counting, measure
    from inference_server.engines.magicanimate.placement import choose_plan, plan_bytes, sizes_of
    from inference_server.engines.magicanimate.real_size import random_networks

    device = pick_device(args.device)
    dtype, cuda = pick_dtype(args.dtype, device), device.type == "cuda"
    every = cases(args, *((16, 64) if cuda else (16,)))
    networks = random_networks(device, dtype, every[0].channels)
    plan = args.plan
    if plan == "auto":
        sizes, free = sizes_of(networks.modules), free_memory(device)  # the networks are on the device already
        free = None if free is None else free + sum(sizes.values())
        plan = choose_plan(plan_bytes(sizes, counting.working_of(every[0], dtype)), free)
    pipelines, left_out = measure.make_variants(
        args.variants or (NAMES if cuda else EVERYWHERE), networks, device, plan
    )
    rate = measure.matmul_rate(device, dtype) / 1e12

    def time(case: "Case") -> dict[str, Any]:
        timings = measure.time_variants(
            pipelines, case, args.rounds, lambda n: print(f"{case.frames} frames, round {n}", file=sys.stderr)
        )
        peaks = measure.peaks(pipelines, case) if cuda else {}
        return {
            "case": asdict(case),
            "variants": {name: {**timing.summary(), "peak_bytes": peaks.get(name)} for name, timing in timings.items()},
            **compare(timings, case, rate),
        }

    report = {"dtype": str(dtype), "plan": plan, "left_out": left_out, "matmul_tflop_per_s": rate}
    report |= together([time(case) for case in every])
    pipelines.clear()  # and what they keep on the device
    if cuda:
        report["peak_bytes_of_plans"] = measure.peaks_of_plans(networks, device, every[-1])
    return report


def compare(timings: dict[str, Any], case: "Case", rate: float) -> dict[str, Any]:
    """Ratios of times. rate: measured TFLOP per second of a matrix product."""
    from inference_server.engines.magicanimate.counting import count_flops

    found = {name: timing.summary() for name, timing in timings.items()}
    tflop = count_flops(case, True)[0]["tflop_per_step"] * case.steps
    ratios: dict[str, Any] = {
        "tflop": tflop,
        "time_over_ideal": {name: found[name]["min_s"] * rate / tflop for name in found if name != "off"},
    }
    if "on" in found:
        ratios["times_as_fast_as_on"] = {name: found["on"]["min_s"] / found[name]["min_s"] for name in found}
    if {"on", "off"} <= found.keys():
        for figure, key in (("min", "min_s"), ("cpu_min", "min_cpu_s"), ("median", "median_s")):
            ratios[f"off_over_on_{figure}"] = found["off"][key] / found["on"][key]
    return ratios


def memory(args: argparse.Namespace) -> dict[str, Any]:
    """Bytes of the weights and beside them, counted, and on a CUDA device the peak of every offload plan."""
    from inference_server.engines.magicanimate import counting, measure
    from inference_server.engines.magicanimate.placement import plan_bytes
    from inference_server.engines.magicanimate.real_size import random_networks
    from inference_server.engines.magicanimate.room import DECODE_BATCH

    device = pick_device(args.device)
    dtype = pick_dtype(args.dtype, device)

    def count(case: "Case") -> dict[str, Any]:
        weights = counting.weight_bytes(case, dtype)
        report = {
            "case": asdict(case),
            "weight_bytes": weights,
            "window_bytes": counting.count_window_bytes(case, dtype),
            "decode_bytes": counting.count_decode_bytes(case, dtype),
            "plan_bytes": plan_bytes(weights, counting.working_of(case, dtype, decoded=DECODE_BATCH)),
        }
        if device.type == "cuda":
            networks = random_networks(device, dtype, case.channels)
            report["peak_bytes_of_plans"] = measure.peaks_of_plans(networks, device, case)
        return report

    return {"dtype": str(dtype), **together([count(case) for case in cases(args, 16)])}
