"""What this machine computes with. `python -m inference_server.engines.device` prints it as JSON."""

import json
import os
import platform
from typing import Any

import torch


def describe_device(name: str = "auto") -> dict[str, Any]:
    """`{kind, name, memory_total, memory_free}` (bytes, None where unknown); `auto` is CUDA, then MPS, then the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(name)
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
    details = {"torch": torch.__version__, "cuda": torch.version.cuda, "hip": torch.version.hip}
    print(json.dumps({**describe_device(), **details}))
