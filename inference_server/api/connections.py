"""Sockets of strangers: silent ones, ones that send or read a byte now and then, and more of them than there are files.

uvicorn's own options do not help against silent sockets, by its source: `limit_concurrency` counts silent
connections and then answers 503 to everybody, `timeout_keep_alive` starts with the first answer, there is no limit on
the time that a request's head takes, and `h11_max_incomplete_event_size` (16 KiB) is not looked at for a head that
comes in one piece. Hence the three small things here.
"""

import asyncio
import contextlib
import errno
import socket
import sys
import time
from typing import Protocol

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_WAIT = 10.0
"""Seconds for TLS and the head of a request."""
READ_WAIT = 60.0
"""Seconds in which a client must take what is sent to it, about 50 kB at a time."""
CONNECTIONS = 512
FILES = 4096
"""Open files that the server asks the system for."""
BACKLOG = 128

Address = tuple[str, int]


class _CanShutDown(Protocol):
    def shutdown(self, how: int) -> None: ...


class Listener(socket.socket):
    """A listening socket with at most `limit` connections: beyond it, a new one takes the place of the one that has
    been silent for longest. Where all are busy with requests, the new one is closed."""

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        super().__init__(family, kind, protocol)
        self.limit = CONNECTIONS
        self._open: dict[int, socket.socket] = {}
        self._silent: dict[Address, tuple[float, _CanShutDown]] = {}

    def accept(self) -> tuple[socket.socket, Address]:
        while True:
            try:
                connection, address = super().accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self._drop_most_silent()  # asyncio tries again in a second
                raise
            for file in [file for file, known in self._open.items() if known.fileno() != file]:
                del self._open[file]
            if len(self._open) < self.limit or self._drop_most_silent():
                self._open[connection.fileno()] = connection
                self.is_silent(address, connection)
                return connection, address
            connection.close()

    def is_silent(self, address: Address, connection: _CanShutDown) -> None:
        """A head of a request is awaited from there."""
        self._silent.setdefault(address[:2], (time.monotonic(), connection))

    def is_heard(self, address: Address) -> None:
        """A whole head has come from there, or it has hung up."""
        self._silent.pop(address[:2], None)

    def drop_silent(self) -> None:
        """End connections from which no head came in HEAD_WAIT; to be called now and then."""
        until = time.monotonic() - HEAD_WAIT
        while self._silent and next(iter(self._silent.values()))[0] < until:
            self._drop_most_silent()

    def _drop_most_silent(self) -> bool:
        if not self._silent:
            return False
        _, connection = self._silent.pop(next(iter(self._silent)))
        with contextlib.suppress(OSError):  # it has ended by itself
            connection.shutdown(socket.SHUT_RDWR)
        return True


def protocol_for(listener: Listener) -> type[H11Protocol]:
    """uvicorn's protocol, which tells the listener who is silent, and ends connections that do not read."""

    class GuardedProtocol(H11Protocol):
        _unread: asyncio.TimerHandle | None = None

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.client is None or self.transport.is_closing():
                return
            if self.cycle is None or self.cycle.response_complete:  # part of a head
                listener.is_silent(self.client, self.transport.get_extra_info("socket"))
            else:
                listener.is_heard(self.client)

        def connection_lost(self, exc: Exception | None) -> None:
            if self.client is not None:
                listener.is_heard(self.client)
            self._stop_timer()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._unread = self.loop.call_later(READ_WAIT, self.transport.abort)

        def resume_writing(self) -> None:
            self._stop_timer()
            super().resume_writing()

        def _stop_timer(self) -> None:
            if self._unread is not None:
                self._unread.cancel()
                self._unread = None

    return GuardedProtocol


def allow_connections() -> int:
    """Ask the system for as many open files as are wanted; returns how many connections fit into what it gives."""
    if sys.platform == "win32":
        return CONNECTIONS
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return CONNECTIONS if soft == resource.RLIM_INFINITY else max(16, min(CONNECTIONS, soft // 2))
