"""Devices: what this machine computes with, chosen by name or by itself.

`python -m inference_server.engines.device` prints what there is as JSON.
"""

import json
import os
import platform
from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from inference_server.errors import UserError
from inference_server.models.attention import Attend, xformers_attention

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def pick_device(name: str = "auto") -> torch.device:
    """`auto`: CUDA (or ROCm), then MPS, then the CPU. Raises UserError for a device that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
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


def attention_backend(name: str, device: torch.device) -> Attend:
    """`auto` and `sdpa` are torch's own; `xformers` only on CUDA. Raises UserError where it can't be had."""
    if name in ("auto", "sdpa"):
        return functional.scaled_dot_product_attention
    if name != "xformers":
        raise UserError(
            f"{name!r} is no attention backend", fix="Use auto, sdpa or xformers.", code="unknown-attention"
        )
    problem = "it needs a CUDA device" if device.type != "cuda" else None
    if problem is None:
        try:
            import xformers.ops  # noqa: F401
        except ImportError as error:
            problem = str(error)
    if problem:
        raise UserError(f"xformers attention is not available: {problem}", fix="Use auto.", code="no-xformers")
    return xformers_attention


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
    return {"kind": device.type, "name": platform.processor() or platform.machine(), **_system_memory()}


def describe_machine() -> dict[str, Any]:
    """The device with the versions that measurements depend on."""
    return {
        **describe_device(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
        "threads": torch.get_num_threads(),
    }


def _system_memory() -> dict[str, int | None]:
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        return {
            "memory_total": page * os.sysconf("SC_PHYS_PAGES"),
            "memory_free": page * os.sysconf("SC_AVPHYS_PAGES"),
        }
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return {"memory_total": None, "memory_free": None}


if __name__ == "__main__":
    print(json.dumps(describe_machine()))
