"""Sizes that do not fit are refused by an estimate, with the largest that does."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inference_server.engines.device import attention_backend
from inference_server.engines.magicanimate import pipeline as pipelines
from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline
from inference_server.engines.magicanimate.room import Footprint, largest_size
from inference_server.errors import UserError

CPU = torch.device("cpu")


def named_size(message):
    return tuple(map(int, re.search(r"at most (\d+) x (\d+)", message).groups()))


def test_a_run_is_refused_and_the_size_that_was_named_runs(golden_networks, monkeypatch):
    pipeline = MagicAnimatePipeline(golden_networks, CPU)
    monkeypatch.setattr(pipelines, "available_memory", lambda: pipeline.footprint.computing(140, 140, 2))

    def run(width, height):
        picture, maps = np.zeros((height, width, 3), np.uint8), np.zeros((2, height, width), np.uint8)
        return pipeline(picture, maps, steps=1)

    with pytest.raises(UserError) as caught:
        run(512, 512)
    assert caught.value.code == "too-large"
    assert named_size(str(caught.value)) == (128, 128)
    assert run(128, 128).shape == (2, 128, 128, 3)


def test_a_size_that_does_not_fit_beside_the_networks_moves_them_off_the_device(golden_networks, monkeypatch):
    pipeline = MagicAnimatePipeline(golden_networks, CPU)
    free = pipeline.footprint.least(640, 640, 2)
    monkeypatch.setattr(pipelines, "free_memory", lambda _device: free)
    for side, plan in ((64, "resident"), (640, "sequential"), (64, "sequential")):  # nothing is carried back and forth
        picture, maps = np.zeros((side, side, 3), np.uint8), np.zeros((2, side, side), np.uint8)
        pipeline.prepare(picture, maps, steps=1, guidance=[1.0])
        assert pipeline.placement.plan == plan


def test_slicing_and_the_estimate_go_together(golden_networks):
    fused, unfused = (
        Footprint.of(golden_networks.modules, CPU, torch.float16, backend)
        for backend in (
            attention_backend("auto", CPU, torch.float16),
            attention_backend("auto", torch.device("mps"), torch.float16),
        )
    )
    assert unfused.computing(512, 512) > fused.computing(512, 512)
    assert fused.sizes["unet"] == sum(p.nbytes for p in golden_networks.unet.parameters()) // 2


sides = st.integers(64, 20_000)


@given(sides, sides, st.integers(1, 2**28))
def test_the_largest_size_fits_and_a_larger_one_does_not(width, height, pixels):
    def fits(w, h):
        return w * h <= pixels

    largest = largest_size(width, height, fits)
    if largest is None:
        assert not fits(64, 64) or max(width, height) / min(width, height) > 1
        return
    assert fits(*largest)
    assert not largest[0] % 64
    assert not largest[1] % 64
