"""Child processes that are not disturbed by Blender's environment, nor by its end."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

WINDOWS = sys.platform == "win32"


def python_command(python: str | Path, *arguments: str | Path) -> list[str | Path]:
    """A Python that is led by nothing of this computer's, and whose output arrives at once and as UTF-8.

    An isolated Python reads no PYTHON... variables: PYTHONUTF8 and PYTHONUNBUFFERED must be options.
    """
    return [python, "-I", "-u", "-X", "utf8", *arguments]


def clean_environment() -> dict[str, str]:
    """This process's environment without what would lead another Python to Blender's modules."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def spawn(
    command: Sequence[str | Path],
    *,
    stdout: int | IO[bytes],
    environment: Mapping[str, str] | None = None,
    detached: bool = False,
) -> "subprocess.Popen[bytes]":
    """Start a command without input or console window, in a process group of its own; stderr goes to stdout.

    detached: it goes on when this process ends. Raises OSError.
    """
    options: dict[str, Any] = {}
    if WINDOWS:
        options["creationflags"] = (
            getattr(subprocess, "CREATE_NO_WINDOW", 0)
            | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
            | (getattr(subprocess, "CREATE_BREAKAWAY_FROM_JOB", 0) if detached else 0)
        )
    else:
        options["start_new_session"] = True
    return subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        env=dict(environment or clean_environment()),
        **options,
    )


def terminate(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process started by `spawn`, and its children, to end; does not wait."""
    if process.poll() is not None:
        return
    if WINDOWS:
        subprocess.Popen(["taskkill", "/T", "/F", "/PID", str(process.pid)], stdout=subprocess.DEVNULL)
    else:
        _signal_group(process, signal.SIGTERM)


def end(process: "subprocess.Popen[bytes]", *, grace: float = 5.0) -> None:
    """End a process started by `spawn` with its children: politely, then by force after `grace` seconds."""
    terminate(process)
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        if WINDOWS:
            process.kill()
        else:
            _signal_group(process, signal.SIGKILL)
        process.wait(grace)


def _signal_group(process: "subprocess.Popen[bytes]", number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
