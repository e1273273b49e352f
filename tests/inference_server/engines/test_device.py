"""What is computed with, by name and by itself."""

import pytest
import torch
from torch.nn import functional

from inference_server.engines.device import attention_backend, free_memory, pick_device, pick_dtype, to_host
from inference_server.errors import UserError

CPU = torch.device("cpu")


@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
def test_number_formats(device):
    device = torch.device(device)
    assert pick_dtype("auto", device) == (torch.float32 if device.type == "cpu" else torch.float16)
    assert (pick_dtype("fp16", device), pick_dtype("bf16", device)) == (torch.float16, torch.bfloat16)
    with pytest.raises(UserError, match="fp8"):
        pick_dtype("fp8", device)


def test_devices():
    assert pick_device("cpu") == CPU
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(UserError, match="abacus"):
        pick_device("abacus")
    assert free_memory(CPU) is None


def test_attention():
    for name in ("auto", "sdpa"):
        assert attention_backend(name, CPU) is functional.scaled_dot_product_attention
    with pytest.raises(UserError, match="needs a CUDA device"):
        attention_backend("xformers", CPU)
    with pytest.raises(UserError, match="no attention backend"):
        attention_backend("flash", CPU)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("head", [40, 80, 160])  # of the published widths with eight heads
def test_xformers_attends_as_torch_does(head):
    pytest.importorskip("xformers.ops")
    device, generator = torch.device("cuda"), torch.Generator("cuda").manual_seed(0)
    query, key, value = (
        torch.randn(2, 8, tokens, head, device=device, generator=generator).half() for tokens in (64, 128, 128)
    )
    expected = functional.scaled_dot_product_attention(query, key, value)
    assert (attention_backend("xformers", device)(query, key, value) - expected).abs().max() < 5e-3


def test_to_the_host():
    x = torch.arange(6).reshape(2, 3)
    assert (to_host(x)() == x.numpy()).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_to_the_host_from_cuda():
    x = torch.arange(6, device="cuda").reshape(2, 3)
    waiting = to_host(x * 2)
    x.zero_()
    assert waiting().tolist() == [[0, 2, 4], [6, 8, 10]]
    assert (free_memory(x.device) or 0) > 0
