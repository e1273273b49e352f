"""What a full device says, whichever library says it."""

import pytest
import torch

from inference_server.cli import main
from inference_server.engines.out_of_memory import is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("HIP out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB, other allocations: 1 GB, max allowed: 10 GB)."),
        RuntimeError("Invalid buffer size: 16.00 GiB"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    ],
)
def test_full(error):
    assert is_out_of_memory(error)


def test_full_as_the_cpu_says_it():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        ValueError("out of memory"),
        OSError(28, "No space left on device"),
    ],
)
def test_something_else(error):
    assert not is_out_of_memory(error)


def test_on_the_command_line_it_is_one_line(monkeypatch, capsys):
    def run(_args):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("inference_server.engines.bench.run", run)
    assert main(["bench", "flops"]) == 2
    assert capsys.readouterr().err == (
        "error: The device's memory is full. Choose a smaller size, or close other programs.\n"
    )
