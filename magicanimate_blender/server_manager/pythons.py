"""Find a Python that can make the server's environment."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..client import ClientError
from .processes import WINDOWS, clean_environment, python_command

OLDEST, NEWEST = (3, 11), (3, 13)
"""The server needs the first; the newest is what its dependencies have been tested with."""
PROBE = """
import importlib.util, json, sys
print(json.dumps({
    "version": list(sys.version_info[:3]),
    "executable": sys.executable,
    "bits": 64 if sys.maxsize > 2**32 else 32,
    "venv": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
}))
"""
PROBE_SECONDS = 20
NO_VENV = "can't make environments (its venv package is missing)"


@dataclass(frozen=True)
class Python:
    executable: Path
    version: tuple[int, int, int]


def find_python(hints: Iterable[str | Path] = ()) -> Python:
    """The first that will do: `hints` (Blender's own), then what the system has.

    Raises ClientError that says what was found and why it will not do.
    """
    refused: list[str] = []
    for candidate in dict.fromkeys([*(str(hint) for hint in hints), *_system_pythons()]):
        found = probe(candidate)
        if isinstance(found, Python):
            return found
        if found:
            refused.append(f"{candidate} {found}")
    what = "; ".join(refused) or "none was found"
    nearly = any(NO_VENV in why for why in refused)
    missing = "your system's python3-venv package" if nearly else f"Python {NEWEST[0]}.{NEWEST[1]} (64 bit)"
    raise ClientError(
        f"No Python on this computer can run the server: {what}",
        fix=f"Install {missing}, then install the server again.",
        code="wrong-python",
    )


def probe(executable: str) -> Python | str:
    """The Python behind a path or name, or why it will not do ("" if there is none)."""
    path = shutil.which(executable)
    if path is None:
        return ""
    try:
        run = subprocess.run(
            python_command(path, "-c", PROBE),
            capture_output=True,
            timeout=PROBE_SECONDS,
            env=clean_environment(),
            check=True,
            stdin=subprocess.DEVNULL,
        )
        found = json.loads(run.stdout)
        version = (int(found["version"][0]), int(found["version"][1]), int(found["version"][2]))
        name = ".".join(map(str, version))
        if not OLDEST <= version[:2] <= NEWEST:
            return f"is version {name}"
        if found["bits"] != 64:
            return "is a 32-bit Python"
        if not found["venv"]:
            return NO_VENV
        return Python(Path(found["executable"]), version)
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError, IndexError):
        return "does not run"


def _system_pythons() -> Iterator[str]:
    versions = [f"{OLDEST[0]}.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    if WINDOWS:
        programs = Path(os.environ.get("LOCALAPPDATA", "")) / "Programs" / "Python"
        yield from (str(programs / f"Python{version.replace('.', '')}" / "python.exe") for version in versions)
        yield "python.exe"
        return
    yield from (f"python{version}" for version in versions)
    # A Blender started from the desktop has a short PATH.
    folders = ["/opt/homebrew/bin", "/usr/local/bin"] if sys.platform == "darwin" else ["/usr/local/bin", "/usr/bin"]
    yield from (f"{folder}/python{version}" for folder in folders for version in versions)
    yield "python3"
