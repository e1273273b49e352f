"""Which PyTorch for which computer."""

import pytest

from magicanimate_blender.client import ClientError
from magicanimate_blender.server_manager import Gpu, choose_build, probe_gpu
from magicanimate_blender.server_manager.torch_build import INDEX, TORCH, parse_nvidia_smi


@pytest.mark.parametrize(
    ("gpu", "system", "machine", "build"),
    [
        (Gpu("nvidia", "RTX 4090", 580, 8.9), "linux", "x86_64", "cu130"),
        (Gpu("nvidia", "RTX 4090", 551, 8.9), "win32", "AMD64", "cu126"),
        (Gpu("nvidia", "GTX 1080", 580, 6.1), "linux", "x86_64", "cu126"),
        (Gpu("nvidia", "RTX 5090", 590, 12.0), "win32", "AMD64", "cu130"),
        (Gpu("amd", "RX 7900"), "linux", "x86_64", "rocm7.2"),
        (Gpu("amd", "RX 7900"), "win32", "AMD64", "cpu"),
        (Gpu("none"), "linux", "aarch64", "cpu"),
        (Gpu("apple"), "darwin", "arm64", None),
    ],
)
def test_the_build_fits_the_computer(gpu, system, machine, build):
    chosen = choose_build(gpu, system, machine)
    assert chosen.name == build
    if build is None:
        assert chosen.pip_arguments == [f"torch=={TORCH}"]
    else:
        assert chosen.pip_arguments == [f"torch=={TORCH}+{build}", "--index-url", f"{INDEX}{build}"]


@pytest.mark.parametrize(
    ("gpu", "system", "machine", "code", "word"),
    [
        (Gpu("nvidia", "RTX 5090", 570, 12.0), "linux", "x86_64", "no-driver", "580"),
        (Gpu("nvidia", "RTX 3080", 470, 8.6), "linux", "x86_64", "no-driver", "525"),
        (Gpu("nvidia", "GTX 780", 470, 3.5), "linux", "x86_64", "unsupported-gpu", "GTX 780"),
        (Gpu("none"), "darwin", "x86_64", "unsupported-platform", "Intel"),
    ],
)
def test_what_can_not_work_is_said_before_gigabytes_are_fetched(gpu, system, machine, code, word):
    with pytest.raises(ClientError) as caught:
        choose_build(gpu, system, machine)
    assert caught.value.code == code
    assert word in caught.value.detail


def test_the_most_capable_of_several_gpus_decides():
    answer = "NVIDIA GeForce GTX 1080, 580.65.06, 6.1\nNVIDIA GeForce RTX 4090, 580.65.06, 8.9\n"
    assert parse_nvidia_smi(answer) == Gpu("nvidia", "NVIDIA GeForce RTX 4090", 580, 8.9)


@pytest.mark.parametrize("answer", ["", "No devices were found\n", "Failed to initialize NVML\n", "a, b"])
def test_a_tool_that_finds_none_is_none(answer):
    assert parse_nvidia_smi(answer) is None


def test_the_drivers_own_tool_is_asked(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text('#!/bin/sh\necho "NVIDIA L4, 570.1, 8.9"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert probe_gpu() == Gpu("nvidia", "NVIDIA L4", 570, 8.9)
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert probe_gpu() == Gpu("none")
