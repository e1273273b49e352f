"""Install the server: a thread that runs venv and pip and tells every line of theirs."""

import contextlib
import dataclasses
import logging
import queue
import re
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..client import Client, ClientError
from .advice import advise
from .constraints import constraint_advice
from .folder import Notes, ServerFolder
from .processes import clean_environment, end, python_command, spawn, terminate
from .pythons import find_python
from .running import find_running
from .torch_build import TorchBuild, choose_build, probe_gpu

log = logging.getLogger(__name__)
OLDEST_PIP = (25, 1)
"""The first pip that goes on with a download that broke."""
RAW_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
DOWNLOADING = re.compile(r"\s*Downloading (\S+)")


@dataclass(frozen=True)
class InstallProgress:
    """title: the present step, number `step` of `steps`; fraction: 0..1 of the file that is downloaded, or None.

    line: pip's last line. When ended: `code` is "" if all is well, "cancelled", or names the problem that `message`
    and `fix` tell.
    """

    step: int = 0
    steps: int = 0
    title: str = "Starting"
    line: str = ""
    fraction: float | None = None
    ended: bool = False
    code: str = ""
    message: str = ""
    fix: str = ""


class InstallTask:
    """One installation. `poll` and `cancel` return at once; `lines` holds every line of the log once."""

    def __init__(
        self, folder: ServerFolder, wheel: Path, pythons: Sequence[str | Path], build: TorchBuild | None
    ) -> None:
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._folder = folder
        self._wheel = wheel
        self._pythons = list(pythons)
        self._build = build
        self._progress = InstallProgress()
        self._cancelled = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._tail: deque[str] = deque(maxlen=200)
        self._thread = threading.Thread(target=self._run, name="magicanimate install", daemon=True)
        self._thread.start()

    def poll(self) -> InstallProgress:
        return self._progress

    def cancel(self) -> None:
        """What is installed by then stays; installing again goes on from there."""
        self._cancelled.set()
        if (process := self._process) is not None:
            terminate(process)

    def _run(self) -> None:
        try:
            self._folder.path.mkdir(parents=True, exist_ok=True)
            self._folder.install_log.unlink(missing_ok=True)
            steps: list[tuple[str, Callable[[], None]]] = [
                ("Stopping the running server", self._stop_server),
                ("Making an environment", self._make_environment),
                ("Updating pip", self._update_pip),
                ("Choosing PyTorch", self._choose_build),
                ("Installing PyTorch", self._install_torch),
                ("Installing the server", self._install_server),
                ("Checking", self._check_server),
            ]
            for number, (title, step) in enumerate(steps, 1):
                self._check()
                self._show(step=number, steps=len(steps), title=title, fraction=None)
                self._say(f"== {title}")
                step()
            self._note(complete=True)
            self._show(ended=True, title="Done")
        except ClientError as error:
            self._say(str(error))
            self._show(ended=True, title="Failed", code=error.code, message=error.detail, fix=error.fix)
        except OSError as error:
            advice = advise([str(error)])
            self._say(str(error))
            self._show(
                ended=True,
                title="Failed",
                code=advice.code if advice else "file-problem",
                message=f"{advice.detail if advice else 'A file could not be written'}: {error}",
                fix=advice.fix if advice else "Close programs that use its files, then install again.",
            )
        except Exception as error:  # a mistake of ours must not leave the panel waiting
            log.exception("installation")
            fix = "Please report it with the system console's output."
            self._show(ended=True, title="Failed", code="internal-error", message=repr(error), fix=fix)

    # steps

    def _stop_server(self) -> None:
        """Files of a running server can't be replaced; one that computes is left alone."""
        running = find_running(self._folder.data)
        if running is None:
            return
        with contextlib.closing(Client(running.url, running.token)) as client:
            queued = client.server().queue
            if queued.running or queued.queued:
                raise ClientError(
                    "The server has animations to compute", fix="Wait until it is done, then try again.", code="busy"
                )
            client.shutdown()
        if not running.wait_gone(15.0):
            raise ClientError("The server does not stop", fix="Stop it in the panel, then try again.", code="busy")

    def _make_environment(self) -> None:
        for leftover in self._folder.path.glob(".removed-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if self._runs(self._folder.python, "-c", "import pip"):
            return
        python = find_python(self._pythons)
        self._say(f"Python {'.'.join(map(str, python.version))} at {python.executable}")
        if self._folder.environment.exists():
            shutil.rmtree(self._folder.environment)
        self._command(python_command(python.executable, "-m", "venv", self._folder.environment), "The environment")

    def _update_pip(self) -> None:
        if self._pip_version() >= OLDEST_PIP:
            return
        wanted = f"pip>={OLDEST_PIP[0]}.{OLDEST_PIP[1]}"
        try:
            self._pip(["install", "--upgrade", wanted], "pip")
        except ClientError:
            self._check()
            self._say("pip could not be updated: a download that breaks will start over")

    def _choose_build(self) -> None:
        if self._build is None:
            self._build = choose_build(probe_gpu())
        self._say(f"PyTorch for: {self._build.title}")
        self._note(complete=False)

    def _install_torch(self) -> None:
        assert self._build is not None
        self._pip(["install", *self._build.pip_arguments], "PyTorch")

    def _install_server(self) -> None:
        # pip takes a wheel of the version that is there for installed, even if its content is another.
        name = self._wheel.name.split("-")[0]
        self._pip(["uninstall", "--yes", name], "The server")
        self._pip(["install", str(self._wheel)], "The server")

    def _check_server(self) -> None:
        self._command(python_command(self._folder.python, "-m", "inference_server", "--version"), "The server")

    # how

    def _pip(self, arguments: list[str], what: str) -> None:
        version = self._pip_version()
        if arguments[0] == "install":
            options = ["--no-input", "--disable-pip-version-check"]
            options += ["--progress-bar", "raw"] if version >= (24, 1) else []
            options += ["--resume-retries", "20"] if version >= OLDEST_PIP else []
            arguments = ["install", *options, *arguments[1:]]
        self._command(python_command(self._folder.python, "-m", "pip", *arguments), what)

    def _pip_version(self) -> tuple[int, ...]:
        packages = "Lib/site-packages" if (self._folder.environment / "Lib").is_dir() else "lib/python3*/site-packages"
        for path in self._folder.environment.glob(f"{packages}/pip-*.dist-info"):
            return tuple(int(part) for part in re.findall(r"\d+", path.name)[:2])
        return (0, 0)

    def _runs(self, *command: str | Path) -> bool:
        try:
            run = subprocess.run(
                [*map(str, command)], capture_output=True, env=clean_environment(), timeout=60, check=False
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return run.returncode == 0

    def _command(self, command: Sequence[str | Path], what: str) -> None:
        """Run it, telling its lines. Raises ClientError with what they advise if it fails."""
        self._check()
        self._tail.clear()
        process = self._process = spawn(command, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            with process.stdout:
                for raw in process.stdout:
                    self._heard(raw.decode("utf-8", "replace").rstrip())
            status = process.wait()
        finally:
            self._process = None
            end(process)
        self._check()
        if status != 0:
            raise self._failure(what, status)

    def _heard(self, line: str) -> None:
        if found := RAW_PROGRESS.fullmatch(line):
            done, total = int(found[1]), int(found[2])
            self._show(fraction=done / total if total else None)
        elif line:
            self._tail.append(line)
            self._say(line)
            if DOWNLOADING.match(line):
                self._show(fraction=0.0)

    def _failure(self, what: str, status: int) -> ClientError:
        advice = advise(self._tail)
        if advice is None or advice.code == "wrong-python":  # pip lists versions for other Pythons with any conflict
            advice = constraint_advice(self._tail, self._folder.python) or advice
        if advice is not None:
            return ClientError(f"{what} could not be installed: {advice.detail}", fix=advice.fix, code=advice.code)
        last = next((line for line in reversed(self._tail) if "error" in line.lower()), f"status {status}")
        return ClientError(
            f"{what} could not be installed: {last}",
            fix=f"The whole log is in {self._folder.install_log}; try again.",
            code="install-failed",
        )

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise ClientError("The installation was cancelled", fix="Install again to go on.", code="cancelled")

    def _say(self, line: str) -> None:
        self.lines.put(line)
        self._show(line=line)
        with contextlib.suppress(OSError), self._folder.install_log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def _note(self, *, complete: bool) -> None:
        title = self._build.title if self._build else ""
        Notes(wheel_version(self._wheel) or "", title, str(self._folder.python), complete).save(self._folder.notes)

    def _show(self, **changes: object) -> None:
        self._progress = dataclasses.replace(self._progress, **changes)  # type: ignore[arg-type]


def wheel_version(wheel: Path) -> str | None:
    """From a wheel's file name, name-version-tags.whl."""
    found = re.fullmatch(r"[^-]+-([^-]+)(-[^-]+){3,4}\.whl", wheel.name)
    return found[1] if found else None
