"""Recorded calls: what is copied, replayed, kept and given back. What CUDA does itself only shows on such a device."""

import logging

import numpy as np
import pytest
import torch
from torch import nn

from inference_server.engines.graphs import Graphs, cuda_capture
from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline


class Doubler(nn.Module):
    def forward(self, x, extra=None, *, times=2):
        out = x * times
        return [out, (out + extra["shift"] if extra else out)]


def test_a_recording_serves_calls_of_its_shapes_only(capture):
    graphs, network = Graphs(lambda: capture), Doubler()
    for value in (1.0, 2.0, 3.0):
        first, second = graphs(network, torch.full((2,), value), {"shift": torch.tensor(1.0)})
        assert (first[0], second[0]) == (2 * value, 2 * value + 1)
    assert (capture.recorded, capture.replayed) == (1, 3)
    others = [
        ((torch.ones(3),), {}),
        ((torch.ones(2, dtype=torch.float64),), {}),
        ((torch.ones(2),), {"times": 5}),
        ((torch.ones(2),), {}),
    ]
    for args, kwargs in others:
        assert torch.equal(graphs(network, *args, **kwargs)[0], network(*args, **kwargs)[0])
    assert graphs(Doubler(), torch.ones(2), times=7)[0][0] == 7
    assert capture.recorded == 1 + len(others) + 1


def test_what_a_call_returned_stays_when_the_next_is_replayed(capture):
    graphs, network = Graphs(lambda: capture), Doubler()
    first = graphs(network, torch.ones(2))[0]
    graphs(network, torch.full((2,), 9.0))
    assert first[0] == 2


def test_inputs_may_be_views_of_any_strides(capture):
    graphs, network = Graphs(lambda: capture), Doubler()
    x = torch.arange(6.0).reshape(2, 3)
    for given in (x, x.t().contiguous().t(), x[:1].expand(2, 3)):
        assert torch.equal(graphs(network, given)[0], given * 2)
    assert capture.recorded == 1


def test_few_recordings_are_kept_and_all_are_given_back(capture):
    graphs, network = Graphs(lambda: capture, most=2), Doubler()
    for length in (1, 2, 1, 3, 1):
        graphs(network, torch.ones(length))
    assert (len(graphs), capture.recorded) == (2, 3)  # that of length 2 went, it was used the longest ago
    graphs.clear()
    assert len(graphs) == 0
    assert graphs(network, torch.ones(1))[0][0] == 2
    assert capture.recorded == 4


def test_calls_run_as_they_are_if_nothing_can_be_recorded(caplog):
    def refuse(_work):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    graphs, network = Graphs(lambda: refuse), Doubler()
    with caplog.at_level(logging.WARNING):
        for value in (1.0, 2.0):
            assert graphs(network, torch.full((1,), value))[0] == 2 * value
    assert [record.getMessage() for record in caplog.records] == [
        "CUDA graphs are not used: CUDA out of memory. Tried to allocate 2 GiB"
    ]


def clip(frames):
    return np.random.default_rng(1).integers(0, 25, (frames, 32, 64), np.uint8)


def grey(level):
    return np.full((32, 64, 3), level, np.uint8)


@pytest.mark.parametrize("window_batch", [1, 2])
def test_clips_come_out_the_same_and_the_next_job_records_nothing(golden_networks, capture, window_batch):
    options = {"device": torch.device("cpu"), "window_batch": window_batch}
    pipeline = MagicAnimatePipeline(golden_networks, **options)
    eager = MagicAnimatePipeline(golden_networks, **options)
    pipeline.graphs = Graphs(lambda: capture)
    recorded = []
    for picture in (grey(90), grey(200)):  # another picture has other references, which are inputs of the recording
        replayed = pipeline(picture, clip(32), steps=2, output="latents")
        assert (replayed - eager(picture, clip(32), steps=2, output="latents")).abs().max() < 1e-4
        recorded.append(capture.recorded)
    assert recorded[0] == recorded[1] <= 5  # three row counts of the ControlNet, two batches
    assert capture.replayed > recorded[0]


def test_networks_that_leave_the_device_are_not_recorded(golden_networks, capture):
    pipeline = MagicAnimatePipeline(golden_networks, torch.device("cpu"))
    pipeline.graphs = Graphs(lambda: capture)
    pipeline.placement.stays = lambda name: name != "controlnet"
    pipeline(grey(0), clip(4), steps=2, output="latents")
    assert capture.recorded == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@torch.no_grad()
def test_on_cuda(golden_weights):
    graphs, layer = Graphs(lambda: cuda_capture(torch.device("cuda"))), nn.Linear(8, 8).cuda()
    for rows in (4, 2, 4):
        x = torch.randn(rows, 8, device="cuda")
        assert torch.equal(graphs(layer, x), layer(x))
    assert len(graphs) == 2
    eager, graphed = (
        MagicAnimatePipeline.from_folder(golden_weights, device="cuda", dtype="fp32", graphs=on) for on in (False, True)
    )
    for _ in range(2):
        expected = eager(grey(90), clip(32), steps=3, output="latents")
        assert (graphed(grey(90), clip(32), steps=3, output="latents") - expected).abs().max() < 1e-3
    assert graphed.graphs is not None
    assert len(graphed.graphs) > 0
    reserved = torch.cuda.memory_reserved()
    graphed.graphs.clear()
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() < reserved
