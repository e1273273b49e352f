"""What is computed with, by name and by itself."""

import sys
import types

import pytest
import torch
from torch.nn import functional

from inference_server.engines.device import (
    attention_backend,
    available_memory,
    describe_device,
    free_memory,
    pick_device,
    pick_dtype,
    to_host,
    xformers_problem,
)
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
        backend = attention_backend(name, CPU, torch.float32)
        assert (backend.name, backend.fused) == ("sdpa", True)
    assert not attention_backend("auto", torch.device("mps"), torch.float16).fused
    with pytest.raises(UserError, match="needs a CUDA device"):
        attention_backend("xformers", CPU, torch.float32)
    with pytest.raises(UserError, match="no attention backend"):
        attention_backend("flash", CPU, torch.float32)


def test_xformers_is_asked_for_its_operator_and_not_only_imported(monkeypatch):
    """Its extensions do not load beside another torch than theirs; the import succeeds all the same."""
    ops = types.ModuleType("xformers.ops")
    monkeypatch.setitem(sys.modules, "xformers", types.ModuleType("xformers"))
    monkeypatch.setitem(sys.modules, "xformers.ops", ops)

    def nothing_loaded(*_):
        raise NotImplementedError("No operator found for `memory_efficient_attention_forward` with inputs:\n...")

    ops.memory_efficient_attention = nothing_loaded
    assert xformers_problem(CPU, torch.float32).startswith("No operator found")

    def attends(query, key, value):
        parts = (x.transpose(1, 2) for x in (query, key, value))
        return functional.scaled_dot_product_attention(*parts).transpose(1, 2)

    ops.memory_efficient_attention = attends
    assert xformers_problem(CPU, torch.float32) == ""


def test_memory_of_this_machine():
    described = describe_device("cpu")
    assert 0 < described["memory_free"] <= described["memory_total"]
    assert available_memory() > 2**20


def test_to_the_host():
    x = torch.arange(6).reshape(2, 3)
    assert (to_host(x)() == x.numpy()).all()
