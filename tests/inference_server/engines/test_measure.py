"""What the benchmarks count; how long anything takes is not tested."""

import json

import numpy as np
import pytest
import torch

from inference_server.cli import main
from inference_server.engines import bench
from inference_server.engines.magicanimate import counting, measure
from inference_server.engines.magicanimate.counting import (
    ORIGINAL_TFLOP_PER_STEP,
    Case,
    count_window_bytes,
    working_of,
)
from inference_server.engines.magicanimate.engine import MagicAnimateEngine
from inference_server.engines.magicanimate.info import MagicAnimateSettings
from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline
from inference_server.engines.magicanimate.real_size import random_networks
from inference_server.engines.memory import LiveBytes
from inference_server.engines.protocol import Task


def test_flops_of_a_step_at_the_published_size(capsys):
    assert main(["bench", "flops", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tflop_per_step"] <= 35.6
    assert report["without_sharing"]["tflop_per_step"] == pytest.approx(ORIGINAL_TFLOP_PER_STEP, rel=0.02)


def test_a_runs_memory_does_not_depend_on_the_clip(golden_networks, golden_weights, tmp_path):
    """All tensors of a whole run, from the first encoding to the last frame."""
    peaks = []
    for frames in (64, 256):
        engine = MagicAnimateEngine(golden_weights, MagicAnimatePipeline(golden_networks, torch.device("cpu")))
        maps = np.zeros((frames, 32, 64), np.uint8)
        settings = MagicAnimateSettings(steps=2)
        task = Task(np.zeros((32, 64, 3), np.uint8), {"densepose": maps}, settings, tmp_path / f"{frames}")
        with LiveBytes() as count:
            assert sum(1 for _ in engine.animate(task, lambda _progress: None)) == frames
        peaks.append(count.peak)
    assert peaks[1] == pytest.approx(peaks[0], rel=0.05)


def test_what_is_set_aside_for_windows_is_enough_and_not_much_too_much():
    case = Case(size=256, frames=8, context_frames=8)
    counted = count_window_bytes(case, torch.float16, windows=2)
    assert counted <= working_of(case, torch.float16, windows=2).window <= 1.3 * counted


def test_memory_at_the_published_size_is_counted_without_a_device(capsys):
    assert main(["bench", "memory", "--dtype", "fp16", "--device", "cpu", "--json"]) == 0
    report, taken = json.loads(capsys.readouterr().out), working_of(Case(), torch.float16)
    assert report["window_bytes"] <= taken.window <= 1.3 * report["window_bytes"]
    assert report["decode_bytes"] == pytest.approx(taken.decode, rel=0.01)
    assert report["plan_bytes"]["after-use"] < 6e9  # of any clip


TINY = ("--size", "128", "--channels", "32,32,32,32", "--steps", "1", "--rounds", "1", "--json")


def test_variants_are_timed_in_one_run_and_compared(capsys):
    given = ("--frames", "18", "--device", "cpu", "--variants", "on", "off", "batched", "xformers")
    assert main(["bench", "speed", *given, *TINY]) == 0
    report = json.loads(capsys.readouterr().out)
    assert "CUDA" in report["left_out"]["xformers"]
    assert set(report["variants"]) == {"on", "off", "batched"}
    assert all(value["seconds_per_frame"] > 0 for value in report["variants"].values())
    assert set(report["time_over_ideal"]) == {"on", "batched"}
    assert report["times_as_fast_as_on"]["on"] == 1
    assert report["off_over_on_min"] > 0


def test_the_matrix_on_cuda(monkeypatch, capsys):
    """All of it in one run without an option, on the CPU in place of the device."""
    asked = []

    def time_variants(pipelines, case, rounds, _on_round):
        asked.append((case.frames, case.steps, rounds, set(pipelines)))
        return {name: measure.Timing(case.frames, (2.0,), (1.0,), (1.0,)) for name in pipelines}

    class Cuda:
        type = "cuda"

    monkeypatch.setattr(bench, "pick_device", lambda _name: Cuda())
    monkeypatch.setattr(bench, "free_memory", lambda _device: 10 * 2**30)
    monkeypatch.setattr(measure, "time_variants", time_variants)
    monkeypatch.setattr(measure, "matmul_rate", lambda *_: 1e12)
    monkeypatch.setattr(measure, "make_variants", lambda names, *_: (dict.fromkeys(names), {}))
    monkeypatch.setattr(measure, "peaks", lambda pipelines, _case: {name: {"allocated": 1} for name in pipelines})
    monkeypatch.setattr(counting, "count_flops", lambda case, *_: [{"tflop_per_step": len(case.windows)}])
    monkeypatch.setattr(measure, "peaks_of_plans", lambda *_: {"after-use": {"allocated": 2}})
    monkeypatch.setattr("inference_server.engines.magicanimate.real_size.random_networks", tiny_networks)
    assert main(["bench", "speed", "--size", "64", "--channels", "32,32,32,32", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert asked == [(16, 25, 5, set(bench.NAMES)), (64, 25, 5, set(bench.NAMES))]
    assert report["peak_bytes_of_plans"]["after-use"]["allocated"] == 2
    assert report["cases"][1]["variants"]["compiled"]["peak_bytes"] == {"allocated": 1}
    assert report["cases"][1]["time_over_ideal"]["xformers"] == 2 / (5 * 25)  # windows, steps


def tiny_networks(_device, dtype, channels):
    return random_networks(torch.device("cpu"), dtype, channels)


def test_live_bytes():
    with torch.no_grad(), LiveBytes() as count:
        a = torch.zeros(1000)
        b = a + 1
        del a
        view = b.view(10, 100)
        del b
        many = [view * 2 for _ in range(3)]
        del many
    assert count.live == view.nbytes
    assert count.peak == 4 * view.nbytes


def test_the_published_codes_work_is_told_for_the_case_that_was_counted_only():
    assert counting.is_published(Case())
    assert counting.is_published(Case(steps=10))
    for other in ({"size": 128}, {"frames": 32}, {"channels": (64, 128, 256, 256)}, {"guidance_scale": 1.0}):
        assert not counting.is_published(Case(**other))
