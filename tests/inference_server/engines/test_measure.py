"""What the benchmarks count; how long anything takes is not tested."""

import json

import numpy as np
import pytest
import torch

from inference_server.cli import main
from inference_server.engines.magicanimate.measure import ORIGINAL_TFLOP_PER_STEP, Case, count_flops, window_peaks
from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline
from inference_server.engines.memory import LiveBytes
from inference_server.models.spec import Sharing

SWITCHES = (
    "guidance_halves",
    "plain_half_once",
    "reference_projection",
    "appearance_single",
    "hint_once",
    "text_projection",
)


def test_flops_of_a_step_at_the_published_size(capsys):
    assert main(["bench", "flops", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tflop_per_step"] <= 35.6
    assert report["without_sharing"]["tflop_per_step"] == pytest.approx(ORIGINAL_TFLOP_PER_STEP, rel=0.02)


@pytest.mark.slow
def test_every_switch_saves_work():
    case = Case(size=64, channels=(64, 64, 64, 64), frames=2)
    one_off = [Sharing(**{switch: False}) for switch in SWITCHES]
    shared, *others = (counted["tflop_per_step"] for counted in count_flops(case, Sharing(), *one_off))
    assert all(shared < tflop for tflop in others)


def test_a_windows_memory_does_not_depend_on_the_clip(golden_networks):
    peaks = []
    for frames in (64, 512):
        pipeline = MagicAnimatePipeline(golden_networks, torch.device("cpu"))
        picture, maps = np.zeros((32, 64, 3), np.uint8), np.zeros((frames, 32, 64), np.uint8)
        run = pipeline.prepare(picture, maps, steps=1, guidance=[7.5])
        taken = window_peaks(run.predictor)
        pipeline.denoise(run)
        peaks.append(max(taken))
    assert peaks[1] == pytest.approx(peaks[0], rel=0.05)


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
