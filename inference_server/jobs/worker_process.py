"""The server's end of the pipe to its worker."""

import logging
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from inference_server.child import python_command, python_environment
from inference_server.jobs.messages import Command, decode, encode

LOG_KEPT = 4 * 2**20
WORKER = tuple(python_command("inference_server.jobs.worker"))

log = logging.getLogger(__name__)


class WorkerProcess:
    """Started at once; `on_report(self, report)` is called from a thread, with None when the process has ended."""

    def __init__(
        self,
        command: Sequence[str],
        log_path: Path,
        on_report: Callable[["WorkerProcess", Any], None],
    ) -> None:
        self.ready = False
        self.killed_because: str | None = None
        self._log_path = log_path
        self._on_report = on_report
        if log_path.exists() and log_path.stat().st_size > LOG_KEPT:
            os.replace(log_path, log_path.with_suffix(".1.log"))
        with log_path.open("ab") as sink:
            self._log_start = sink.tell()
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
                bufsize=0,
                env=python_environment(),
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._read, name="worker reports", daemon=True)
        self._thread.start()
        threading.Thread(target=self._write, name="worker commands", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, command: Command) -> None:
        """Returns at once: a worker that does not read (a pipe holds 64 kB) may be killed, but is not waited for.

        One that has just died does not hear it; its end is reported all the same.
        """
        self._commands.put(command)

    def kill(self, because: str) -> None:
        self.killed_because = because
        self._process.kill()

    def wait(self, timeout: float) -> bool:
        """True if it has ended within `timeout` seconds."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        self._thread.join(5)
        return True

    def why_ended(self) -> str:
        """One line: what the system and the log say about its end."""
        status = self._process.wait()
        if self.killed_because:
            how = self.killed_because
        elif status < 0:
            name = signal.Signals(-status).name
            how = f"it was ended by {name}"
            if name == "SIGKILL":
                how += ", which is what the system does when memory runs out"
        else:
            how = f"it ended with status {status}"
        last = self._last_line()
        return f"{how}; its log ends with: {last}" if last else how

    def _last_line(self) -> str:
        """The line of the log that says most: the last fatal or error line, or just the last one."""
        try:
            with self._log_path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(self._log_start, size - 16_384))
                lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
        except OSError:
            return ""
        telling = [line for line in lines if "Error" in line or line.startswith("Fatal")]
        return (telling or lines or [""])[-1][:300]

    def _write(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            while (command := self._commands.get()) is not None:
                rest = memoryview(encode(command))
                while rest:
                    rest = rest[pipe.write(rest) :]
        except OSError:
            log.info("worker %s no longer listens", self.pid)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                self._on_report(self, decode(line))
            except ValueError:
                log.warning("worker %s wrote what is no message: %.100r", self.pid, line)
        self._process.wait()
        self._commands.put(None)
        self._on_report(self, None)
