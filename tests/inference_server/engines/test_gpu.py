"""What only a CUDA device can show: `python3 tools/dev.py test tests/inference_server/engines/test_gpu.py`.

Skipped elsewhere. Decisions that need no device (how a batch is cut, which plan fits, what counts as out of memory)
are tested beside the code that makes them.
"""

import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from inference_server.engines.device import attention_backend, free_memory, to_host, xformers_problem
from inference_server.engines.magicanimate.engine import MagicAnimateEngine, load
from inference_server.engines.magicanimate.info import MagicAnimateSettings
from inference_server.engines.magicanimate.loader import load_networks
from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline
from inference_server.engines.magicanimate.placement import PLANS, Placement
from inference_server.engines.magicanimate.real_size import random_networks
from inference_server.engines.options import EngineOptions
from inference_server.engines.out_of_memory import is_out_of_memory
from inference_server.engines.protocol import Task
from inference_server.errors import UserError
from inference_server.models.attention import AttentionBackend

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]

CUDA = torch.device("cuda")
HALF = 0.02
"""Mean error of latents in half precision over their spread; the same limit as for half precision on the CPU."""


def labels(frames, side=64):
    return np.random.default_rng(1).integers(0, 25, (frames, side, side), np.uint8)


def picture(side=64):
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)


@pytest.fixture(scope="module")
def exact(golden_weights):
    """Latents of 24 frames in fp32 on the CPU."""
    pipeline = MagicAnimatePipeline.from_folder(golden_weights, device="cpu", dtype="fp32")
    return pipeline(picture(), labels(24), steps=3, output="latents")


@pytest.mark.parametrize("plan", PLANS)
def test_half_precision_with_every_offload_plan(golden_weights, exact, plan):
    pipeline = MagicAnimatePipeline.from_folder(golden_weights, device="cuda", dtype="fp16", plan=plan)
    latents = pipeline(picture(), labels(24), steps=3, output="latents")
    assert (latents - exact).abs().mean() / exact.std() < HALF


@pytest.mark.parametrize("plan", PLANS)
def test_full_precision_with_every_offload_plan(golden_weights, exact, plan):
    pipeline = MagicAnimatePipeline.from_folder(golden_weights, device="cuda", dtype="fp32", plan=plan)
    assert (pipeline(picture(), labels(24), steps=3, output="latents") - exact).abs().max() < 2e-2  # TF32 convolutions


def test_eight_windows_at_once(golden_weights):
    """100 frames are eight windows; so small ones all fit into half of any card."""
    pipeline = MagicAnimatePipeline.from_folder(golden_weights, device="cuda", dtype="fp16")
    rows = []
    hook = pipeline.networks.unet.register_forward_pre_hook(lambda _network, args: rows.append(len(args[0])))
    together = pipeline(picture(), labels(100), steps=2, output="latents")
    hook.remove()
    assert rows == [8 * 16] * 2
    alone = MagicAnimatePipeline(pipeline.networks, CUDA, window_batch=1)
    expected = alone(picture(), labels(100), steps=2, output="latents")
    assert (together - expected).abs().mean() / expected.std() < HALF


def test_more_rows_than_a_grid_holds():
    """Temporal attention of nine windows of 512 x 512 pixels with guidance."""
    query, key, value = (torch.randn(2 * 9 * 4096, 8, 16, 40, device=CUDA, dtype=torch.float16) for _ in range(3))
    out = attention_backend("auto", CUDA, torch.float16)(query, key, value)
    last = functional.scaled_dot_product_attention(query[-8:], key[-8:], value[-8:])
    assert (out[-8:] - last).abs().max() < 1e-2


def test_slices_equal_the_fused_kernel():
    query, key, value = (torch.randn(4, 8, n, 40, device=CUDA) for n in (4096, 8192, 8192))
    sliced = AttentionBackend(fused=False)(query, key, value)
    assert (sliced - functional.scaled_dot_product_attention(query, key, value)).abs().max() < 1e-5


@pytest.mark.parametrize("head", [40, 80, 160])
def test_xformers_attends_as_torch_does(head):
    problem = xformers_problem(CUDA, torch.float16)
    if problem:
        pytest.skip(problem)
    query, key, value = (torch.randn(2, 8, n, head, device=CUDA).half() for n in (64, 128, 128))
    expected = functional.scaled_dot_product_attention(query, key, value)
    assert (attention_backend("xformers", CUDA, torch.float16)(query, key, value) - expected).abs().max() < 5e-3


def test_weights_that_leave_are_page_locked():
    network = nn.Linear(64, 64)
    placement = Placement({"vae": network}, CUDA, "after-use")
    assert network.weight.is_pinned()
    before = network.weight.detach().clone()
    with placement.using("vae") as used:
        assert used.weight.is_cuda
    assert network.weight.is_pinned()
    assert torch.equal(network.weight, before)


def test_out_of_memory_then_a_smaller_try(golden_weights, exact):
    """What fills the card is freed with the exception, and the next run has room."""
    total = torch.cuda.get_device_properties(CUDA).total_memory
    with pytest.raises(RuntimeError) as caught:
        [torch.empty(total // 8, dtype=torch.uint8, device=CUDA) for _ in range(9)]
    assert is_out_of_memory(caught.value)
    del caught
    torch.cuda.empty_cache()
    pipeline = MagicAnimatePipeline.from_folder(golden_weights, device="cuda", dtype="fp16", low_memory=True)
    latents = pipeline(picture(), labels(24), steps=3, output="latents")
    assert pipeline.placement.plan != "resident"
    assert (latents - exact).abs().mean() / exact.std() < HALF


def test_a_size_too_large_is_refused(golden_weights):
    pipeline = MagicAnimatePipeline.from_folder(golden_weights, device="cuda", dtype="fp16")
    side = 65_536
    with pytest.raises(UserError) as caught:
        pipeline._make_room(side, side, 16)
    assert caught.value.code == "too-large"


BREAK_CONTEXT = """
import torch
x = torch.zeros(4, device="cuda")
try:
    x[torch.tensor([99], device="cuda")]  # asserts on the device
    torch.cuda.synchronize()
except RuntimeError:
    try:
        torch.ones(1, device="cuda").sum().item()
    except RuntimeError:
        print("of no use any more")
"""


def test_a_broken_context_is_broken_for_its_process_alone():
    """Why the worker ends after an unexpected error; the scheduler's tests show that its job has a new process."""
    ended = subprocess.run([sys.executable, "-c", BREAK_CONTEXT], capture_output=True, text=True, timeout=300)
    assert ended.stdout == "of no use any more\n"
    assert torch.ones(1, device=CUDA).sum().item() == 1


def test_numbers_that_overflow_in_half_precision_come_out_in_fp32(golden_weights):
    def task():
        return Task(picture(), {"densepose": labels(4)}, MagicAnimateSettings(steps=2))

    half = load(golden_weights, EngineOptions(device="cuda", dtype="fp16"))
    hook = half.pipeline.networks.unet.conv_out.register_forward_hook(lambda _layer, _args, out: out * 65_504.0 * 1e3)
    with pytest.raises(UserError) as caught:
        dict(half.animate(task(), lambda _progress: None))
    hook.remove()
    assert caught.value.code == "overflow"
    full = load(golden_weights, EngineOptions(device="cuda", dtype="fp32"))
    assert len(dict(full.animate(task(), lambda _progress: None))) == 4


def test_to_the_host():
    x = torch.arange(6, device=CUDA).reshape(2, 3)
    waiting = to_host(x * 2)
    x.zero_()
    assert waiting().tolist() == [[0, 2, 4], [6, 8, 10]]
    assert (free_memory(CUDA) or 0) > 0


def test_the_published_size(tmp_path, record_property):
    """512 x 512, 64 frames, random weights: frames come, and the peak is what the plan set aside at most."""
    networks = random_networks(CUDA, torch.float16)
    pipeline = MagicAnimatePipeline(networks, CUDA, plan="after-use", window_batch=1)
    engine = MagicAnimateEngine(tmp_path, pipeline)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    began = time.monotonic()
    task = Task(picture(512), {"densepose": labels(64, 512)}, MagicAnimateSettings(steps=2), tmp_path / "t")
    frames = dict(engine.animate(task, lambda _progress: None))
    assert len(frames) == 64
    assert frames[63].shape == (512, 512, 3)
    peak = torch.cuda.max_memory_allocated()
    record_property("seconds", round(time.monotonic() - began, 1))
    record_property("peak_bytes", peak)
    assert peak < 6e9


def test_networks_of_two_precisions_agree(golden_weights):
    """The golden tree loaded twice: nothing but the number format differs."""
    full, half = (load_networks(golden_weights, dtype) for dtype in (torch.float32, torch.float16))
    outputs = [
        MagicAnimatePipeline(networks, CUDA)(picture(), labels(4), steps=1, output="latents")
        for networks in (full, half)
    ]
    assert (outputs[0] - outputs[1]).abs().mean() / outputs[0].std() < HALF
