"""Which build of PyTorch fits this computer."""

import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

from ..client import ClientError
from .processes import clean_environment

TORCH = "2.13.0"
"""The version that the server is tested with."""
INDEX = "https://download.pytorch.org/whl/"


@dataclass(frozen=True)
class TorchBuild:
    """name: the folder of the build in PyTorch's own package index, None for the one that the general index has."""

    name: str | None
    title: str

    @property
    def pip_arguments(self) -> list[str]:
        # The build is part of the version, so that pip replaces another build of the same version.
        return [f"torch=={TORCH}+{self.name}", "--index-url", INDEX + self.name] if self.name else [f"torch=={TORCH}"]


# https://github.com/pytorch/pytorch/blob/main/RELEASE.md and pytorch issue 178665: builds of 2.13, the GPUs that each
# has code for, and NVIDIA's lowest driver for each CUDA (minor-version compatibility).
CUDA_13 = TorchBuild("cu130", "NVIDIA GPU (CUDA 13.0)")
CUDA_12 = TorchBuild("cu126", "NVIDIA GPU (CUDA 12.6)")
ROCM = TorchBuild("rocm7.2", "AMD GPU (ROCm 7.2)")
MPS = TorchBuild(None, "Apple GPU (Metal)")
CPU = TorchBuild("cpu", "no GPU driver was found: the processor computes, slowly")


@dataclass(frozen=True)
class CudaRule:
    build: TorchBuild
    oldest_driver: int
    capabilities: tuple[float, float]
    """Lowest and highest compute capability that the build has code for."""


CUDA_RULES = (CudaRule(CUDA_13, 580, (7.5, 99.0)), CudaRule(CUDA_12, 525, (5.0, 9.0)))


@dataclass(frozen=True)
class Gpu:
    """maker: nvidia, amd, apple or none; driver: NVIDIA's major version; capability: NVIDIA's compute capability."""

    maker: str
    name: str = ""
    driver: int = 0
    capability: float = 0.0


def choose_build(gpu: Gpu, system: str = sys.platform, machine: str = platform.machine()) -> TorchBuild:
    """Raises ClientError where PyTorch has no build, or where the GPU's driver is too old for any."""
    if system == "darwin":
        if machine != "arm64":
            raise ClientError(
                "PyTorch no longer supports Macs with an Intel processor",
                fix="Run the server on another computer and connect to it in the preferences.",
                code="unsupported-platform",
            )
        return MPS
    if gpu.maker == "nvidia":
        return _cuda_build(gpu)
    if gpu.maker == "amd" and system.startswith("linux"):
        return ROCM
    return CPU


def _cuda_build(gpu: Gpu) -> TorchBuild:
    has_code = [rule for rule in CUDA_RULES if rule.capabilities[0] <= gpu.capability <= rule.capabilities[1]]
    if not has_code:
        raise ClientError(
            f"{gpu.name} is too old for PyTorch (compute capability {gpu.capability})",
            fix="Run the server on another computer and connect to it in the preferences.",
            code="unsupported-gpu",
        )
    for rule in has_code:
        if gpu.driver >= rule.oldest_driver:
            return rule.build
    needed = min(rule.oldest_driver for rule in has_code)
    raise ClientError(
        f"The driver of {gpu.name} is too old: version {gpu.driver}, but {needed} or newer is needed",
        fix="Install the newest driver from NVIDIA, restart the computer, then install again.",
        code="no-driver",
    )


def probe_gpu() -> Gpu:
    """Ask the drivers' own tools. Takes up to some seconds."""
    if sys.platform == "darwin":
        return Gpu("apple", platform.processor()) if platform.machine() == "arm64" else Gpu("none")
    answer = _run("nvidia-smi", "--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader")
    if (gpu := parse_nvidia_smi(answer)) is not None:
        return gpu
    answer = _run("rocm-smi", "--showproductname")
    if found := re.search(r"Card [Ss]eries:\s*(.+)", answer):
        return Gpu("amd", found[1].strip())
    return Gpu("none")


def parse_nvidia_smi(answer: str) -> Gpu | None:
    """The most capable GPU in the lines "name, driver version, compute capability", or None."""
    gpus = []
    for line in answer.splitlines():
        if found := re.fullmatch(r"(.+), (\d+)[\d.]*, (\d+\.\d+)", line.strip()):
            gpus.append(Gpu("nvidia", found[1], int(found[2]), float(found[3])))
    return max(gpus, key=lambda gpu: gpu.capability, default=None)


def _run(command: str, *arguments: str) -> str:
    path = shutil.which(command)
    if path is None:
        return ""
    try:
        run = subprocess.run(
            [path, *arguments],
            capture_output=True,
            timeout=20,
            env=clean_environment(),
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return run.stdout.decode("utf-8", "replace")
