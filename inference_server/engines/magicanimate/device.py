"""Device, number format and attention kernel, by name or chosen for the machine."""

import torch
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
    """Free bytes of an accelerator; None for the CPU."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return None


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
