"""The server on this computer: attach to it, start it, stop it."""

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ..client import Client, ClientError, ServerUnreachable
from .advice import advise
from .folder import numbers
from .installation import Installation
from .processes import clean_environment, end, python_command, spawn
from .running import Running, find_running

START_SECONDS = 60.0
STOP_SECONDS = 10.0
STILL_STOPPING = 0.5
"""Seconds before another start while an earlier server still has the data folder."""
LOG_LIMIT = 4 * 1024 * 1024
"""Bytes; a log that is longer is begun anew at the next start, the old one kept beside it. A server that runs for long
empties it at that size: its own logs hold the last lines too."""


class LocalServer:
    """A ServerSource. Its calls block, but for `started_here`; threads may share it."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    @property
    def started_here(self) -> bool:
        """Whether this Blender started the server that runs."""
        return self._process is not None and self._process.poll() is None

    def connect(self, say: Callable[[str], None], stop: threading.Event) -> Client:
        """Attach to the server that runs, or start it. Raises ClientError with the log's advice if it won't start."""
        with self._lock:  # two jobs must not start two servers
            running = self._find()
            if running is None:
                self.installation.require()
                say("Starting the server")
                running = self._start(stop)
            self._check_version(running)
            return Client(running.url, running.token)

    def attach(self) -> Client | None:
        """The server if it runs, else None; never starts it."""
        running = self._find()
        return None if running is None else Client(running.url, running.token, timeout=5.0)

    def stop(self) -> bool:
        """Stop the server if this Blender started it; True if it did. Jobs that run go on at its next start."""
        if not self.started_here:
            return False
        self._shut_down(self._find())
        return True

    def stop_if_idle(self) -> bool:
        """Ask the server to stop if this Blender started it and it has no jobs; True if so. Does not wait for its end,
        since Blender's own end is what this is for."""
        if not self.started_here or (client := self.attach()) is None:
            return False
        with contextlib.closing(client), contextlib.suppress(ClientError):
            queued = client.server().queue
            if not queued.running and not queued.queued:
                client.shutdown()
                return True
        return False

    def stop_any(self) -> None:
        """Stop the server of this installation, whoever started it: what a button does that the user clicked."""
        running = self._find()
        if running is not None or self.started_here:
            self._shut_down(running)

    def log_tail(self, lines: int = 200) -> list[str]:
        """The last lines of the server's log."""
        return tail(self.installation.folder.log, lines)

    def _find(self) -> Running | None:
        if self._process is not None:
            self._process.poll()  # a child that ended is a zombie, alive by its id, until it is asked for
        return find_running(self.installation.folder.data)

    def _start(self, stop: threading.Event) -> Running:
        folder = self.installation.folder
        folder.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.log.is_file() and folder.log.stat().st_size > LOG_LIMIT:
            folder.log.replace(folder.log.with_suffix(".old.log"))
        process, begin = self._spawn()
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            ended = process.poll() is not None
            if (running := self._find()) is not None:  # ours, or one that another Blender started first
                return running
            if ended:
                problem = _did_not_start(_since(folder.log, begin))
                if problem.code != "data-folder-in-use" or stop.wait(STILL_STOPPING):
                    raise problem
                process, begin = self._spawn()  # the one before takes its time to end a step
            if stop.wait(0.1):
                end(process)
                raise ServerUnreachable("The start of the server was cancelled", fix="", code="cancelled")
        end(process)
        raise ServerUnreachable(
            f"The server did not answer within {START_SECONDS:.0f} seconds",
            fix="Look at its log in the panel, then try again.",
            code="server-timeout",
        )

    def _spawn(self) -> tuple[subprocess.Popen[bytes], int]:
        """The process, and where its lines begin in the log."""
        folder = self.installation.folder
        command = python_command(self.installation.python, "-m", "inference_server", "serve")
        try:
            with folder.log.open("ab") as log:
                begin = log.tell()
                process = spawn(
                    [*command, "--port", "0", "--data-dir", folder.data],
                    stdout=log,
                    environment={**clean_environment(), "MAGICANIMATE_CONSOLE_LIMIT": str(LOG_LIMIT)},
                    detached=True,
                )
        except OSError as error:
            raise ClientError(
                f"The server's Python can't be started: {error.strerror or error}",
                fix="Install the server again from the add-on's preferences.",
                code="server-broken",
            ) from error
        self._process = process
        return process, begin

    def _check_version(self, running: Running) -> None:
        """A server left from before an upgrade of the add-on must not serve the new one."""
        wanted = self.installation.carried_version
        if wanted is not None and numbers(running.version) < numbers(wanted):
            own = self.installation.own_python is not None
            raise ClientError(
                f"The running server is version {running.version}, but this add-on needs {wanted}",
                fix="Upgrade it in your own environment." if own else "Upgrade it in the add-on's preferences.",
                code="wrong-version",
            )

    def _shut_down(self, running: Running | None) -> None:
        if running is not None:
            client = Client(running.url, running.token, timeout=5.0)
            with contextlib.closing(client), contextlib.suppress(ClientError):
                client.shutdown()
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            end(process)
        elif running is not None and not running.wait_gone(STOP_SECONDS):
            raise ClientError(
                "The server does not stop", fix=f"End the process {running.pid} yourself.", code="server-timeout"
            )


def tail(path: Path, lines: int) -> list[str]:
    """The last `lines` lines of a text file, reading no more of it than is needed for lines of ordinary length."""
    try:
        size = path.stat().st_size
    except OSError:
        return []
    return _since(path, max(0, size - lines * 200))[-lines:]


def _since(path: Path, begin: int) -> list[str]:
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(begin)
        return file.read().decode("utf-8", "replace").splitlines()
    return []


def _did_not_start(lines: list[str]) -> ClientError:
    if (advice := advise(lines)) is not None:
        return ClientError(f"The server did not start: {advice.detail}", fix=advice.fix, code=advice.code)
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    return ClientError(
        f"The server did not start: {last}", fix="Look at its log in the panel.", code="server-did-not-start"
    )
