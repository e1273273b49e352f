"""Find a server that runs already, by what it left in its data folder."""

import contextlib
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ..client import Client, ClientError, is_loopback

SILENCE = 2.0
"""Seconds."""


@dataclass(frozen=True)
class Running:
    """A server that answers. version: of the server."""

    url: str
    pid: int
    version: str
    token: str

    def wait_gone(self, seconds: float) -> bool:
        """Wait until its process has ended; False if it has not by then.

        One that is silent for SILENCE is gone too: a child whose parent has not asked for it yet, alive by its id only.
        """
        until = time.monotonic() + seconds
        heard = time.monotonic()
        while time.monotonic() < until:
            if not is_alive(self.pid) or time.monotonic() - heard > SILENCE:
                return True
            if _answers(self):
                heard = time.monotonic()
            time.sleep(0.1)
        return False


def find_running(data: Path) -> Running | None:
    """The server whose data folder this is, if it runs and answers with the process id it wrote down."""
    running = read_running(data)
    return running if running is not None and is_alive(running.pid) and _answers(running) else None


def read_running(data: Path) -> Running | None:
    """server.json and token as they are, which may be left over from a server that was killed."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        value = json.loads((data / "server.json").read_bytes())
        token = os.environ.get("MAGICANIMATE_TOKEN") or (data / "token").read_text().strip()
        running = Running(str(value["url"]), int(value["pid"]), str(value["version"]), token)
        if is_loopback(running.url):
            return running
    return None


def is_alive(pid: int) -> bool:
    """Whether a process with this id is there; True also for those that belong to others."""
    if pid <= 0:
        return False
    if sys.platform == "win32":
        return _is_alive_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_alive_windows(pid: int) -> bool:
    # os.kill(pid, 0) would end the process there.
    import ctypes

    kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
    handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        return False
    code = ctypes.c_ulong()
    kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return code.value == 259  # STILL_ACTIVE


def _answers(running: Running) -> bool:
    client = Client(running.url, running.token, timeout=5.0)
    try:
        return client.server().pid == running.pid
    except ClientError as error:
        # Refused for the token or the version: somebody is there, and the caller is to hear why.
        return error.code not in ("server-not-running", "connection-lost", "bad-answer")
    finally:
        client.close()
