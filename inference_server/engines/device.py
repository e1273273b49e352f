"""Devices: what this machine computes with, chosen by name or by itself.

`python -m inference_server.engines.device` prints what there is as JSON.
"""

import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference_server.engines.out_of_memory import is_out_of_memory
from inference_server.errors import UserError
from inference_server.models.attention import AttentionBackend, xformers_attention

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def pick_device(name: str = "auto") -> torch.device:
    """`auto`: CUDA (or ROCm), then MPS, then the CPU. Raises UserError for a device that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        if is_out_of_memory(error):
            raise
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"This machine has no device {name!r} ({reason})", fix="Use auto, cpu, cuda or mps.", code="no-device"
        ) from error
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """`auto`: fp16 on an accelerator, fp32 on the CPU. Raises UserError for an unknown name."""
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.float16
    if name not in DTYPES:
        raise UserError(f"{name!r} is no number format", fix=f"Use auto, {', '.join(DTYPES)}.", code="unknown-dtype")
    return DTYPES[name]


def free_memory(device: torch.device) -> int | None:
    """Bytes of an accelerator that tensors could still take; None for the CPU."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return None


def release_cached(device: torch.device) -> None:
    """Give back to the driver what torch keeps of freed tensors: other sizes come now."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def to_host(x: Tensor) -> Callable[[], NDArray[Any]]:
    """Sends a tensor on its way; the call waits for it. What the device is given meanwhile does not hold it up."""
    if x.device.type != "cuda":
        return lambda: x.cpu().numpy()
    there = torch.empty(x.shape, dtype=x.dtype, pin_memory=True)
    there.copy_(x, non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record(torch.cuda.current_stream(x.device))

    def wait() -> NDArray[Any]:
        arrived.synchronize()
        return there.numpy()

    return wait


HEAD_SIZES = (40, 80, 160)
"""Channels per head in the published networks."""


def attention_backend(name: str, device: torch.device, dtype: torch.dtype) -> AttentionBackend:
    """`auto` and `sdpa` are torch's own; `xformers` only on CUDA. Raises UserError where it can't be had."""
    if name in ("auto", "sdpa"):
        return AttentionBackend("sdpa", fused=has_fused_kernel(device, dtype))
    if name != "xformers":
        raise UserError(
            f"{name!r} is no attention backend", fix="Use auto, sdpa or xformers.", code="unknown-attention"
        )
    problem = "it needs a CUDA device" if device.type != "cuda" else xformers_problem(device, dtype)
    if problem:
        raise UserError(f"xformers attention is not available: {problem}", fix="Use auto.", code="no-xformers")
    return AttentionBackend("xformers", xformers_attention)


def has_fused_kernel(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether torch attends without holding all scores: always on the CPU, never on MPS, by the card on CUDA."""
    if device.type != "cuda":
        return device.type == "cpu"
    from torch.backends.cuda import SDPAParams, can_use_efficient_attention, can_use_flash_attention

    def fused(head: int) -> bool:
        x = torch.empty(1, 8, 64, head, device=device, dtype=dtype)
        given = SDPAParams(x, x, x, None, 0.0, False, False)
        return can_use_flash_attention(given) or can_use_efficient_attention(given)

    return all(map(fused, HEAD_SIZES))


def xformers_problem(device: torch.device, dtype: torch.dtype) -> str:
    """Why the package's operator does not run here, empty if it does.

    That it can be imported says nothing: its kernels are built for one version of torch and stay away from others.
    """
    try:
        for head in HEAD_SIZES:
            x = torch.zeros(1, 1, 8, head, device=device, dtype=dtype)
            xformers_attention(x, x, x)
    except (ImportError, NotImplementedError, RuntimeError, AttributeError) as error:
        return str(error).strip().partition("\n")[0] or type(error).__name__
    return ""


def describe_device(name: str = "auto") -> dict[str, Any]:
    """`{kind, name, memory_total, memory_free}` (bytes, None where unknown); `auto` is CUDA, then MPS, then the CPU."""
    device = pick_device(name)
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return {
            "kind": "cuda",
            "name": torch.cuda.get_device_name(device),
            "memory_total": int(total),
            "memory_free": int(free),
        }
    if device.type == "mps":
        total = int(torch.mps.recommended_max_memory())
        free = total - int(torch.mps.driver_allocated_memory())
        return {"kind": "mps", "name": platform.processor() or "Apple GPU", "memory_total": total, "memory_free": free}
    host = {"memory_total": int(psutil.virtual_memory().total), "memory_free": available_memory()}
    return {"kind": device.type, "name": platform.processor() or platform.machine(), **host}


def describe_machine() -> dict[str, Any]:
    """The device with the versions that measurements depend on."""
    return {
        **describe_device(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
        "threads": torch.get_num_threads(),
    }


def available_memory() -> int:
    """Bytes of memory that programs can still take without driving others to the disk, within a container's limit."""
    available = int(psutil.virtual_memory().available)
    try:
        return min(available, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    except (OSError, ValueError):  # no container, or one without a limit
        return available


if __name__ == "__main__":
    print(json.dumps(describe_machine()))
