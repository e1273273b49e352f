"""What the add-on holds in memory while it is enabled: the server, its watch, the jobs and what they wait for."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from ..animation import Animation, Animations, Record
from ..client import Client, ClientError, Pins, is_loopback
from ..server_manager import Installation, InstallState, LocalServer, RemoteServer, Watch
from .drawing import Drawing
from .package import certificates, data_folder, server_wheel
from .preferences import Preferences, preferences

if TYPE_CHECKING:
    from .delivery import Delivery

log = logging.getLogger(__name__)
RECORDS_AGE = 5.0
"""Seconds after which the list of results is read from disk again without a reason: another Blender may add some."""


class Offline:
    """Stands for a server that may not be reached because Blender is offline."""

    def connect(self, say: Callable[[str], None], stop: threading.Event) -> Client:
        raise ClientError(
            "The server is on another computer, and Blender is not allowed to go online",
            fix="Allow online access in Preferences > System > Network.",
            code="offline",
        )

    def attach(self) -> Client | None:
        return None


class Task:
    """A call that blocks, in a thread of its own. `error` is what the person should know of it."""

    def __init__(self, title: str, call: Callable[[], object]) -> None:
        self.title = title
        self.error: ClientError | None = None
        self._call = call
        self._thread = threading.Thread(target=self._run, name=f"magicanimate {title}", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._call()
        except ClientError as error:
            self.error = error
        except Exception as error:
            log.exception("%s", self.title)
            self.error = ClientError(f"{self.title} failed: {error!r}", fix="Please report it.", code="internal-error")


class Runtime:
    def __init__(self, chosen: Preferences, installation: Installation | None = None) -> None:
        python = Path(bpy.path.abspath(chosen.python)) if chosen.python else None
        self.installation = installation or Installation(data_folder() / "server", server_wheel(), python=python)
        self.server = self._server(chosen)
        self.animations = Animations(chosen.results_folder, self.server)
        self.drawings: list[Drawing] = []
        self.noticed: set[str] = set()
        """Jobs of which it is known here that they ended."""
        self.deliveries: deque[Delivery] = deque()
        """Results on their way into the scene."""
        self.depths: dict[str, float] = {}
        """Nearest depth of the characters, by job of this session."""
        self.plans: dict[str, str] = {}
        """What regenerating a result would compute, in a sentence, where it was asked for."""
        self.task: Task | None = None
        """What the server is asked to do as a whole: start, stop."""
        self.problem: ClientError | None = None
        """What the last task failed with."""
        self._stop_server = chosen.stop_server
        self._watch: Watch | None = None
        self._records: list[Record] = []
        self._records_at = -RECORDS_AGE
        self._state: InstallState | None = None
        self._state_at = 0.0

    def _server(self, chosen: Preferences) -> LocalServer | RemoteServer | Offline:
        if chosen.server == "LOCAL":
            return LocalServer(self.installation)
        if is_loopback(chosen.url) or bpy.app.online_access:
            return RemoteServer(chosen.url, chosen.token, Pins(certificates()))
        return Offline()

    @property
    def watch(self) -> Watch:
        """Started when somebody first wants to see the server."""
        if self._watch is None:
            self._watch = Watch(self.server)
        return self._watch

    def installed(self) -> InstallState:
        """Looked up at most once a second, for panels."""
        if self._state is None or time.monotonic() - self._state_at > 1.0:
            self._state, self._state_at = self.installation.state(), time.monotonic()
        return self._state

    def records(self) -> list[Record]:
        """Results on disk, newest first."""
        if time.monotonic() - self._records_at > RECORDS_AGE:
            self._records, self._records_at = self.animations.history.records(), time.monotonic()
        return self._records

    def forget_records(self) -> None:
        """Read the list of results again when it is next wanted."""
        self._records_at = -RECORDS_AGE

    def record(self, job: str) -> Record | None:
        animation = self.animations.get(job)
        if animation is not None:
            return animation.record
        return next((record for record in self.records() if record.id == job), None)

    def current(self, scene: bpy.types.Scene) -> Animation | None:
        """The job to show for a scene: the first that has not ended, else the last."""
        mine = [a for a, _ in self.animations.poll() if a.id in scene.magicanimate.jobs]
        return next((a for a in mine if not a.poll().state.ended), mine[-1] if mine else None)

    def busy(self) -> bool:
        return (
            bool(self.drawings or self.deliveries)
            or self.task is not None
            or self.animations.busy()
            or self.installing()
        )

    def installing(self) -> bool:
        task = self.installation.task
        return task is not None and not task.poll().ended

    def run(self, title: str, call: Callable[[], object]) -> None:
        """Ask the server for something that takes its time; nothing happens while another such thing goes on."""
        if self.task is None:
            self.problem = None
            self.task = Task(title, call)

    def start_server(self) -> None:
        def start() -> None:
            self.server.connect(lambda sentence: None, threading.Event()).close()

        self.run("Starting the server", start)

    def stop_server(self) -> None:
        if isinstance(self.server, LocalServer):
            self.run("Stopping the server", self.server.stop_any)

    def end_task(self) -> bool:
        """True if one has ended since the last call."""
        if self.task is None or not self.task.done:
            return False
        self.problem, self.task = self.task.error, None
        return True

    def close(self, *, leaving: bool) -> None:
        """End all threads. Jobs go on in the server; if Blender is left, so may the server itself.

        Only who leaves waits for the threads: one that asks a silent server would hold up the window.
        """
        wait = 2.0 if leaving else 0.0
        for drawing in self.drawings:
            drawing.cancel()
        self.drawings.clear()
        self.animations.close(wait)
        if self._watch is not None:
            self._watch.close(wait)
        if leaving and (task := self.installation.task) is not None:
            task.cancel()
        if leaving and self._stop_server and isinstance(self.server, LocalServer):
            self.server.stop_if_idle()


_runtime: Runtime | None = None


def runtime() -> Runtime:
    """Made on first use, so that enabling the add-on costs nothing."""
    global _runtime
    if _runtime is None:
        _runtime = Runtime(preferences())
    return _runtime


def active() -> Runtime | None:
    """The runtime if there is one already."""
    return _runtime


def restart() -> None:
    """After the preferences changed: the server may be another, results may lie elsewhere.

    An installation that runs goes on, unless an environment of the user's own takes its place.
    """
    global _runtime
    old = _runtime
    _close(leaving=False)
    if old is not None and old.installation.task is not None and old.installing():
        if preferences().python:
            old.installation.task.cancel()
        else:
            _runtime = Runtime(preferences(), old.installation)


def _close(*, leaving: bool) -> None:
    global _runtime
    if _runtime is not None:
        _runtime.close(leaving=leaving)
        _runtime = None


def _leave() -> None:
    _close(leaving=True)


def register() -> None:
    atexit.register(_leave)


def unregister() -> None:
    atexit.unregister(_leave)
    _close(leaving=True)
