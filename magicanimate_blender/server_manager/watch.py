"""What a panel shows of the server, kept fresh by a thread so that drawing never waits."""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from ..client import Client, ClientError, Engine, ServerInfo, Weights

log = logging.getLogger(__name__)
EVERY = 1.0
"""Seconds between looks while the server runs."""
EVERY_IDLE = 3.0
"""... and while it does not."""


class Attachable(Protocol):
    def attach(self) -> Client | None:
        """The server if it runs; never starts it."""
        ...


@dataclass(frozen=True)
class ServerStatus:
    """info is None while no server answers; problem says why if there should be one. Both lists are the last known.

    doing: what was asked by `Watch.do` and is not done yet; failed: why the last such thing did not work.
    """

    info: ServerInfo | None = None
    engines: tuple[Engine, ...] = ()
    weights: tuple[Weights, ...] = ()
    problem: ClientError | None = None
    doing: str = ""
    failed: ClientError | None = None
    version: int = 0
    """Grows with every change, so that a panel knows when to draw itself again."""


Action = Callable[[Client], object]


class Watch:
    """Looks at the server about once a second until closed. `status` and `do` return at once."""

    def __init__(self, server: Attachable, *, every: float = EVERY) -> None:
        self._server = server
        self._every = every
        self._status = ServerStatus()
        self._actions: queue.SimpleQueue[tuple[Action, str] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="magicanimate watch", daemon=True)
        self._thread.start()

    @property
    def status(self) -> ServerStatus:
        return self._status

    def do(self, action: Action, title: str) -> None:
        """Run `action(client)` in the thread; title: what it does, for the panel. See `status.failed` after it."""
        self._show(doing=title, failed=None)
        self._actions.put((action, title))

    def close(self, timeout: float = 2.0) -> None:
        self._closed = True
        self._actions.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._closed:
            self._look()
            pause = self._every if self._status.info is not None else max(self._every, EVERY_IDLE * self._every)
            wake = time.monotonic() + pause
            with contextlib.suppress(queue.Empty):
                while not self._closed and (left := wake - time.monotonic()) > 0:
                    asked = self._actions.get(timeout=left)
                    if asked is not None:
                        self._act(*asked)
                        break  # and look at once what it changed

    def _look(self) -> None:
        try:
            client = self._server.attach()
            if client is None:
                self._show(info=None, problem=None)
                return
            with contextlib.closing(client):
                info = client.server()
                self._show(info=info, engines=tuple(client.engines()), weights=tuple(client.weights()), problem=None)
        except ClientError as error:
            self._show(info=None, problem=error)
        except Exception:
            log.exception("watching the server")

    def _act(self, action: Action, title: str) -> None:
        failed: ClientError | None = None
        try:
            client = self._server.attach()
            if client is None:
                raise ClientError("The server is not running", fix="Start it.", code="server-not-running")
            with contextlib.closing(client):
                action(client)
        except ClientError as error:
            failed = error
        except Exception as error:
            log.exception("%s", title)
            failed = ClientError(f"{title} failed: {error!r}", fix="Please report it.", code="internal-error")
        self._show(doing="", failed=failed)

    def _show(self, **changes: object) -> None:
        changed = replace(self._status, **changes)  # type: ignore[arg-type]
        if changed != self._status:
            self._status = replace(changed, version=self._status.version + 1)
