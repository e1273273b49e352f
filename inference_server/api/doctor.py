"""`python -m inference_server doctor`: look at this machine and say what to do about what is wrong."""

import argparse
import importlib.util
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from inference_server.api.command import PORT
from inference_server.child import python_command, python_environment
from inference_server.data_dir import add_data_dir_argument
from inference_server.errors import UserError
from inference_server.jobs.folder import DataFolder
from inference_server.jobs.lock import ProcessLock
from inference_server.jobs.scheduler import WorkerOptions
from inference_server.weights.catalogue import ENTRIES
from inference_server.weights.library import WeightsLibrary

PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "safetensors", "huggingface_hub", "av", "PIL", "c2pa")
DEVICE_TIMEOUT = 180.0
"""Seconds; the first import of torch from a cold disk is slow."""

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """advice: what to do, empty where all is well."""

    level: Level
    about: str
    text: str
    advice: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data_dir_argument(parser)
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--json", action="store_true", help="findings as JSON lines")


def run(args: argparse.Namespace) -> int:
    """1 if there is a problem, else 0."""
    worst = 0
    for finding in examine(args):
        worst = max(worst, finding.level == "problem")
        if args.json:
            print(json.dumps(asdict(finding)), flush=True)
            continue
        print(f"{finding.level:8} {finding.about}: {finding.text}", flush=True)
        if finding.advice:
            print(f"         -> {finding.advice}", flush=True)
    return worst


def examine(args: argparse.Namespace) -> Iterator[Finding]:
    folder = DataFolder(args.data_dir)
    yield check_packages()
    yield from check_device(describe_device, nvidia_driver)
    yield from check_folder(folder)
    yield check_identity(folder)
    yield from check_weights(folder)
    yield check_port(folder, args.port)


def check_packages() -> Finding:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    version = ".".join(map(str, sys.version_info[:3]))
    if missing:
        return Finding(
            "problem", "Python", f"{version} lacks {', '.join(missing)}", "Install the server again: pip install ."
        )
    return Finding("ok", "Python", f"{version}, all packages are there")


def check_device(describe: Callable[[], dict[str, Any]], driver: Callable[[], str | None]) -> Iterator[Finding]:
    """What torch computes with, and whether a GPU is left unused."""
    installed = driver()
    try:
        device = describe()
    except UserError as error:
        yield Finding("problem", "device", error.message, error.fix)
        return
    kind, name, torch = device["kind"], device["name"], device["torch"]
    if kind == "cpu" and installed:
        yield Finding(
            "problem",
            "device",
            f"an NVIDIA GPU is there (driver {installed}), but PyTorch {torch} does not use it",
            "Install PyTorch's CUDA build (https://pytorch.org/get-started/locally), or update the driver.",
        )
        return
    if kind == "cpu":
        yield Finding(
            "warning",
            "device",
            f"no GPU is found: PyTorch {torch} computes on the CPU ({name})",
            "The demo weights run so; for the full ones use a machine with a GPU.",
        )
        return
    total, free = device["memory_total"] or 0, device["memory_free"] or 0
    driven = f", driver {installed}" if installed and kind == "cuda" else ""
    yield Finding(
        "ok", "device", f"{name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free, PyTorch {torch}{driven}"
    )
    if total < half_precision_bytes():
        yield Finding(
            "warning",
            "device memory",
            f"the full weights take {half_precision_bytes() / 2**30:.1f} GiB in half precision, more than there is",
            "They are moved in and out as needed, which is slower; start the server with --low-memory.",
        )


def check_folder(folder: DataFolder) -> Iterator[Finding]:
    try:
        folder.create()
        probe = folder.incoming / "doctor"
        probe.write_bytes(b"x")
        probe.unlink()
    except (UserError, OSError) as error:
        yield Finding("problem", "data folder", str(error), "Choose another with --data-dir.")
        return
    free, reserve = folder.free_bytes(), WorkerOptions().disk_reserve
    if free < reserve:
        yield Finding(
            "problem",
            "disk",
            f"only {free / 2**20:.0f} MiB are free in {folder.root}",
            "Delete old results or free space.",
        )
    else:
        yield Finding("ok", "disk", f"{free / 1e9:.1f} GB are free in {folder.root}")
    if os.name == "posix" and folder.token.exists() and stat.S_IMODE(folder.token.stat().st_mode) & 0o077:
        yield Finding("warning", "token", "other users can read it", f"chmod 600 {folder.token}")


def check_identity(folder: DataFolder) -> Finding:
    """The fingerprint by which results of this server are known from those of a stranger with the same name."""
    from inference_server.provenance.identity import local_identity

    renewed: list[str] = []
    try:
        identity = local_identity(folder.identity, renewed.append)
    except OSError as error:
        return Finding("problem", "signing key", str(error), "Free some space, or choose another --data-dir.")
    text = f"results are signed with this computer's own certificate, SHA-256 {identity.fingerprint}"
    if renewed:
        return Finding("warning", "signing key", f"{text}. {renewed[0]}", "Tell those who compare fingerprints.")
    return Finding("ok", "signing key", text)


def check_weights(folder: DataFolder) -> Iterator[Finding]:
    library = WeightsLibrary(folder.weights)
    for entry in ENTRIES:
        state = library.state(entry.id)
        size = library.size_bytes(entry) / 1e9
        if state == "ready":
            yield Finding("ok", f"weights {entry.id}", f"ready, {size:.2f} GB")
        elif state == "invalid":
            advice = f"python -m inference_server weights verify {entry.id}, or delete and pull"
            yield Finding("problem", f"weights {entry.id}", "files have changed or were never checked", advice)
        elif entry.bundled is not None:
            yield Finding("problem", f"weights {entry.id}", "missing", "Install the server again: they come with it.")
        else:
            space = "" if folder.free_bytes() > entry.download_bytes else f" (free {size:.1f} GB first)"
            advice = f"python -m inference_server weights pull {entry.id}{space}"
            yield Finding("warning", f"weights {entry.id}", f"not downloaded, {size:.1f} GB", advice)


def check_port(folder: DataFolder, port: int) -> Finding:
    lock = ProcessLock(folder.server_lock)
    if folder.server_lock.exists() and not lock.acquire():
        return Finding("ok", "server", f"runs with this data folder (process {lock.holder()})")
    lock.release()
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            return Finding(
                "warning", "port", f"{port} is taken by another program", "Use --port 0, which takes a free one."
            )
    return Finding("ok", "port", f"{port} is free")


def describe_device() -> dict[str, Any]:
    """Asks torch in a process of its own. Raises UserError `torch-broken` with its last words."""
    try:
        done = subprocess.run(
            python_command("inference_server.engines.device"),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=DEVICE_TIMEOUT,
            env=python_environment(),
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found
    except subprocess.TimeoutExpired:
        reason = f"it did not answer within {DEVICE_TIMEOUT:.0f} s"
    except ValueError:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    raise UserError(
        f"PyTorch cannot be used: {reason}", fix="Install it again, and update the driver.", code="torch-broken"
    )


def nvidia_driver() -> str | None:
    """Version of the NVIDIA driver, None without one."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else None


def half_precision_bytes() -> int:
    """Of the published networks in memory: their float32 files halved. temporal_attention.ckpt counts as its motion
    modules alone, since a UNet in it takes the place of Stable Diffusion's."""
    published = next(entry for entry in ENTRIES if not entry.demo)
    motion_file = max(part.size for part in published.parts)
    motion_modules = 417_982_400 * 4
    return (published.download_bytes - motion_file + motion_modules) // 2
