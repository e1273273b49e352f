"""What is installed where, kept in one small file."""

import shutil
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ..client import ClientError, FileProblem
from .folder import Notes, ServerFolder, numbers
from .install import InstallTask, wheel_version
from .torch_build import TorchBuild


class InstallKind(Enum):
    NOT_INSTALLED = "not-installed"
    INSTALLING = "installing"
    INCOMPLETE = "incomplete"
    """An installation was cancelled or failed; installing goes on where it was."""
    INSTALLED = "installed"
    OUTDATED = "outdated"
    """Installed, but the add-on carries a newer version."""
    BROKEN = "broken"
    """Files that were installed are gone."""


@dataclass(frozen=True)
class InstallState:
    """sentence: for the panel; version: of the installed server; build: the title of its PyTorch."""

    kind: InstallKind
    sentence: str
    version: str | None = None
    build: str | None = None

    @property
    def usable(self) -> bool:
        return self.kind in (InstallKind.INSTALLED, InstallKind.OUTDATED)


class Installation:
    """A server in `folder`: environment, data, logs.

    wheel: the server that the add-on carries, None in a checkout without one.
    python: an environment that the user looks after and that has the server; then nothing is ever installed.
    """

    def __init__(self, folder: Path, wheel: Path | None, *, python: Path | None = None) -> None:
        self.folder = ServerFolder(folder)
        self.wheel = wheel
        self.own_python = python
        self._task: InstallTask | None = None

    @property
    def python(self) -> Path:
        """The Python that runs the server."""
        return self.own_python or self.folder.python

    @property
    def carried_version(self) -> str | None:
        """Version of the server that the add-on carries."""
        return wheel_version(self.wheel) if self.wheel else None

    def state(self) -> InstallState:
        """Quick: looks at a few files, runs nothing."""
        if self._task is not None and not self._task.poll().ended:
            return InstallState(InstallKind.INSTALLING, "The server is being installed")
        if self.own_python is not None:
            if self.own_python.is_file():
                return InstallState(InstallKind.INSTALLED, f"The server of {self.own_python} is used")
            return InstallState(InstallKind.BROKEN, f"There is no Python at {self.own_python}")
        notes = Notes.load(self.folder.notes)
        if notes is None:
            return InstallState(InstallKind.NOT_INSTALLED, "The server is not installed")
        if not notes.complete:
            return InstallState(InstallKind.INCOMPLETE, "The server is installed in part")
        if not self.folder.has_server():
            return InstallState(InstallKind.BROKEN, "The server's installation is damaged", notes.version, notes.build)
        carried = self.carried_version
        if carried is not None and numbers(carried) > numbers(notes.version):
            return InstallState(
                InstallKind.OUTDATED,
                f"Server {notes.version} is installed; this add-on brings {carried}",
                notes.version,
                notes.build,
            )
        return InstallState(InstallKind.INSTALLED, f"Server {notes.version} is installed", notes.version, notes.build)

    def require(self) -> None:
        """Raises ClientError, with what to do, unless there is a server that can be started."""
        state = self.state()
        if state.usable:
            return
        code = {InstallKind.NOT_INSTALLED: "server-not-installed", InstallKind.INSTALLING: "server-installing"}.get(
            state.kind, "server-broken"
        )
        fix = "Install it in the add-on's preferences."
        if state.kind is InstallKind.INSTALLING:
            fix = "Wait until it is done."
        elif self.own_python is not None:
            fix = "Choose another Own Environment in the add-on's preferences, or clear it."
        raise ClientError(state.sentence, fix=fix, code=code)

    def install(self, pythons: Sequence[str | Path] = (), *, build: TorchBuild | None = None) -> InstallTask:
        """Install, go on with an installation, mend or upgrade: always the same steps, those that are done are quick.

        pythons: tried first, in order, before the system's. build: chosen for this computer if not given.
        Raises ClientError if the add-on carries no server, or is to use an environment that is not its own.
        """
        if self.own_python is not None:
            raise ClientError(
                "The server's environment is your own, and the add-on leaves it alone",
                fix="Install the server there yourself, or clear Own Environment in the preferences.",
                code="own-environment",
            )
        if self.wheel is None or not self.wheel.is_file():
            raise ClientError(
                "This copy of the add-on carries no server", fix="Install the add-on's zip file.", code="no-wheel"
            )
        if self._task is None or self._task.poll().ended:
            self._task = InstallTask(self.folder, self.wheel, pythons, build)
        return self._task

    @property
    def task(self) -> InstallTask | None:
        """The installation that runs, or the last one of this session."""
        return self._task

    def remove(self, *, data: bool = False) -> None:
        """Remove the environment; with `data` also weights, jobs and results in the server. Returns at once.

        Raises FileProblem while a server uses the files, on systems that then refuse it.
        """
        doomed = [self.folder.environment, *([self.folder.data] if data else [])]
        try:
            self.folder.notes.unlink(missing_ok=True)
            for path in doomed:
                if path.is_dir():
                    path.rename(self.folder.path / f".removed-{uuid.uuid4().hex}")
        except OSError as error:
            raise FileProblem(
                f"The server's files are in use: {error.strerror or error}",
                fix="Stop the server, then remove it.",
                code="server-in-use",
            ) from error
        threading.Thread(target=self.sweep, name="magicanimate removal", daemon=True).start()

    def sweep(self) -> None:
        """Delete what `remove` left for later. May take a while."""
        for path in self.folder.path.glob(".removed-*"):
            shutil.rmtree(path, ignore_errors=True)
