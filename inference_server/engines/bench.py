"""`bench flops | speed | memory`: what a run costs here, with random weights of the published size."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from inference_server.engines.device import describe_machine, pick_device, pick_dtype


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Every measurement takes the same case."""
    parser.add_argument("what", choices=("flops", "speed", "memory"))
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    parser.add_argument("--size", type=int, default=512, help="side of the square picture in pixels")
    parser.add_argument("--frames", type=int, nargs="+", default=[16], help="frames of the clip; several to compare")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--guidance", type=float, default=7.5)
    parser.add_argument("--rounds", type=int, default=5, help="timed runs of each variant, after one to warm up")
    parser.add_argument(
        "--channels", type=lambda text: tuple(map(int, text.split(","))), help="widths, to measure a narrower network"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=("on", "off", "batched", "compiled", "xformers"),
        default=["on", "off"],
        help="sharing on, sharing off, two windows at once, compiled, with xformers attention",
    )


def run(args: argparse.Namespace) -> int:
    """Print a table, or JSON."""
    from inference_server.engines.magicanimate import measure

    fields = {"size": args.size, "steps": args.steps, "guidance_scale": args.guidance}
    if args.channels:
        fields["channels"] = args.channels
    cases = [measure.Case(frames=frames, **fields) for frames in args.frames]
    results = [{"flops": flops, "speed": speed, "memory": memory}[args.what](args, case) for case in cases]
    report = {
        "what": args.what,
        "machine": describe_machine(),
        **(results[0] if len(results) == 1 else {"cases": results}),
    }
    print(json.dumps(report) if args.json else json.dumps(report, indent=2))
    return 0


def flops(_args: argparse.Namespace, case: Any) -> dict[str, Any]:
    """TFLOP per denoising step, shared and not; no weights and no memory needed."""
    from inference_server.engines.magicanimate import measure
    from inference_server.models.spec import Sharing

    shared, plain = measure.count_flops(case, Sharing(), Sharing.none())
    return {
        "case": asdict(case),
        **shared,
        "without_sharing": plain,
        "original_tflop_per_step": measure.ORIGINAL_TFLOP_PER_STEP,
    }


def speed(args: argparse.Namespace, case: Any) -> dict[str, Any]:
    """Seconds per frame of each variant, interleaved; how near the device's matrix product rate they come."""
    from inference_server.engines.magicanimate import measure
    from inference_server.models.spec import Sharing

    device = pick_device(args.device)
    dtype = pick_dtype(args.dtype, device)
    pipelines = measure.make_variants(args.variants, case, device, dtype)
    timings = measure.time_variants(
        pipelines, case, args.rounds, lambda n: print(f"round {n} of {args.rounds}", file=sys.stderr)
    )
    summaries = {timing.name: timing.summary() for timing in timings}
    report: dict[str, Any] = {"case": asdict(case), "dtype": str(dtype), "variants": summaries}
    report["matmul_tflop_per_s"] = measure.matmul_rate(device, dtype) / 1e12
    if {"on", "off"} <= summaries.keys():
        report["off_over_on_min"] = summaries["off"]["min_s"] / summaries["on"]["min_s"]
        report["off_over_on_cpu_min"] = summaries["off"]["min_cpu_s"] / summaries["on"]["min_cpu_s"]
        report["off_over_on_median"] = summaries["off"]["median_s"] / summaries["on"]["median_s"]
    if "on" in summaries and case.frames == 16:
        ideal = measure.count_flops(case, Sharing())[0]["tflop_per_step"] * case.steps / report["matmul_tflop_per_s"]
        report["time_over_ideal"] = summaries["on"]["min_s"] / ideal
    return report


def memory(args: argparse.Namespace, case: Any) -> dict[str, Any]:
    """Bytes of the weights, and the most that one window takes beside them."""
    from inference_server.engines.magicanimate import measure

    device = pick_device(args.device)
    return {"case": asdict(case), **measure.peak_memory(case, device, pick_dtype(args.dtype, device))}
