"""Layers that are compiled in idle time: when which form runs, and what happens if there is no compiler."""

import logging

import numpy as np
import pytest
import torch
from diffusers.models.attention import FeedForward
from torch import nn

from inference_server.engines.graphs import Graphs
from inference_server.engines.magicanimate.loader import load_networks
from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline
from inference_server.engines.regions import MOST_SHAPES, Regions, torch_compile
from inference_server.models.attention import CallContext
from inference_server.models.feed_forward import PiecewiseFeedForward
from inference_server.models.motion import TemporalTransformer

CPU = torch.device("cpu")


class Compiler:
    """In place of torch's: says which functions ran compiled."""

    def __init__(self):
        self.compiled = 0
        self.runs = []

    def __call__(self, function):
        self.compiled += 1

        def run(*args, **kwargs):
            self.runs.append(function)
            return function(*args, **kwargs)

        return run


@pytest.fixture
def layer():
    return PiecewiseFeedForward(FeedForward(4, activation_fn="geglu"))


def regions_of(layer, compile_):
    context = CallContext(compiled=True)
    return Regions([(nn.Sequential(layer), context)], compile_), context


@torch.no_grad()
def test_a_layer_runs_compiled_for_the_shapes_it_was_compiled_for(layer):
    compiler = Compiler()
    regions, context = regions_of(layer, compiler)
    tokens = torch.randn(2, 3, 4)
    expected = layer(tokens)
    assert compiler.compiled == 0
    assert len(list(regions.warm())) == 1
    compiler.runs.clear()
    assert torch.equal(layer(tokens), expected)
    assert len(compiler.runs) == 1
    layer(torch.randn(5, 3, 4))  # another shape, as it is, until the next idle time
    layer(tokens.transpose(0, 1).contiguous().transpose(0, 1))  # other strides
    context.frames = 2  # layers fold by it
    layer(tokens)
    context.compiled = False  # another pipeline over the same weights
    layer(tokens)
    assert len(compiler.runs) == 1
    assert len(list(regions.warm())) == 3
    assert list(regions.warm()) == []
    assert compiler.compiled == 1


@torch.no_grad()
def test_only_so_many_shapes(layer):
    regions, _ = regions_of(layer, Compiler())
    for rows in range(1, 2 * MOST_SHAPES):
        layer(torch.randn(rows, 3, 4))
    assert len(list(regions.warm())) == MOST_SHAPES


@torch.no_grad()
def test_no_compiler_means_one_line_and_layers_as_they_are(layer, caplog):
    def broken(_function):
        def run(*_args):
            raise RuntimeError("no compiler found\nand a page of advice")

        return run

    regions, _ = regions_of(layer, broken)
    tokens = torch.randn(2, 3, 4)
    expected = layer(tokens)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert list(regions.warm()) == []
            assert torch.equal(layer(tokens), expected)
    assert [r.getMessage() for r in caplog.records] == ["Layers run uncompiled: RuntimeError: no compiler found"]


def test_a_pipeline_changes_over_between_jobs_piece_by_piece(golden_weights):
    pipeline = MagicAnimatePipeline(load_networks(golden_weights, torch.float32), CPU, compiled=True)
    compiler, recorded = Compiler(), []
    for region in pipeline._regions._regions:
        region._compile = compiler
    pipeline.graphs = Graphs(lambda: lambda work: recorded.append(1) or (lambda: None, work()))
    picture, maps = np.full((32, 64, 3), 90, np.uint8), np.zeros((2, 32, 64), np.uint8)
    expected = pipeline(picture, maps, steps=1, output="latents")
    assert not compiler.runs
    assert len(pipeline.graphs) == len(recorded) == 2
    warming = pipeline.warm()
    for _ in range(5):
        next(warming)
    assert len(pipeline.graphs) == 0  # they held the layers as they were
    compiler.runs.clear()
    assert torch.equal(pipeline(picture, maps, steps=1, output="latents"), expected)
    assert len(compiler.runs) == 5
    pieces = 5 + len(list(warming))
    compiler.runs.clear()
    assert torch.equal(pipeline(picture, maps, steps=1, output="latents"), expected)
    assert len(compiler.runs) == pieces == len(pipeline._regions._regions)


@pytest.mark.slow
@torch.no_grad()
def test_torchs_own_compiler():
    context = CallContext(compiled=True)
    layer = TemporalTransformer(8, heads=2, groups=2, max_window=4, context=context)
    nn.init.normal_(layer.proj_out.weight)
    regions = Regions([(nn.Sequential(layer), context)], torch_compile)
    context.frames = 2
    x = torch.randn(4, 8, 2, 2)
    expected = layer(x)
    assert len(list(regions.warm())) == 1
    assert (layer(x) - expected).abs().max() < 1e-5
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
