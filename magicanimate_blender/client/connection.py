"""HTTP with keep-alive over http.client, which, unlike urllib, never sends loopback requests to a proxy."""

import contextlib
import http.client
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from .errors import BadAnswer, ClientError, ServerProblem, ServerUnreachable
from .pins import Pins

MAX_ANSWER = 256 * 1024 * 1024
"""Bytes; nothing that is read at once (a frame, a list of jobs) comes near it."""


@dataclass(frozen=True)
class Answer:
    """headers: names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Stream:
    """An answer that is still coming. Reading raises ServerUnreachable when the connection breaks."""

    def __init__(self, url: str, response: http.client.HTTPResponse, sock: socket.socket) -> None:
        self.url = url
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.headers.items()}
        self._response = response
        self._socket = sock

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, fewer only at the end."""
        with translated(self.url):
            return self._whole(self._response.read(size))

    def read_soon(self, size: int) -> bytes:
        """What is there, at least a byte (waits for it), at most `size`; empty at the end."""
        with translated(self.url):
            return self._whole(self._response.read1(size))

    def read_all(self) -> bytes:
        content = self.read(MAX_ANSWER)
        if not self._response.isclosed() and self.read(1):
            raise BadAnswer(f"{self.url} sent more than {MAX_ANSWER >> 20} MiB")
        return content

    def abort(self) -> None:
        """Wake a thread that waits in `read`: for it, the stream ends or the connection breaks."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    @property
    def finished(self) -> bool:
        """Read to the end, on a connection that stays open."""
        return self._response.isclosed() and not self._response.will_close

    def _whole(self, data: bytes) -> bytes:
        # http.client takes an answer that is shorter than its Content-Length for a whole one.
        if not data and self._response.length:
            raise http.client.IncompleteRead(data, self._response.length)
        return data


def is_loopback(url: str) -> bool:
    """True if `url` names this computer by a loopback address, so that no online access is needed."""
    host = urlsplit(url).hostname or ""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def server_name(url: str) -> str:
    """host:port of an https address, under which its certificate is kept."""
    parts = urlsplit(url)
    return f"{(parts.hostname or '').lower()}:{parts.port or 443}"


class Connection:
    """Requests to one server. Idle sockets are kept and used again; threads may share it.

    timeout: seconds for connecting and for each wait on the socket, not for a whole answer. pins: for https, accept the
    server's first certificate and no other, instead of those that this computer's authorities have signed.
    """

    def __init__(self, url: str, token: str, *, timeout: float = 10.0, pins: Pins | None = None) -> None:
        parts = _split(url)
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._https = parts.scheme == "https"
        self._pins = pins
        self._host, self._port, self._prefix = parts.hostname or "", parts.port, parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": "magicanimate-blender"}
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        allow: Collection[int] = (),
    ) -> Answer:
        """One whole answer of status < 400 or in `allow`. Raises ServerUnreachable, ServerProblem or BadAnswer."""
        with self.stream(method, path, body=body, headers=headers, allow=allow) as stream:
            return Answer(stream.status, stream.headers, stream.read_all())

    @contextlib.contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        allow: Collection[int] = (),
    ) -> Iterator[Stream]:
        """An answer of status < 400 or in `allow`, to be read bit by bit; errors as in `request`."""
        connection, stream = self._send(method, path, body, {**self._headers, **(headers or {})}, timeout)
        try:
            if stream.status >= 400 and stream.status not in allow:
                raise problem(self.url, stream.status, stream.read_all())
            yield stream
        finally:
            # Only a socket whose answer was read to the end is clean for the next request.
            if stream.finished:
                with self._lock:
                    self._idle.append(connection)
            else:
                connection.close()

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout: float | None
    ) -> tuple[http.client.HTTPConnection, Stream]:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is not None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                return connection, self._exchange(connection, method, path, body, headers, timeout)
            # A server may close an idle socket at any moment: a fresh one tells whether it is still there.
            connection.close()
        connection = self._connection()
        try:
            with translated(self.url):
                return connection, self._exchange(connection, method, path, body, headers, timeout)
        except ClientError:
            connection.close()
            raise

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        timeout: float | None,
    ) -> Stream:
        if connection.sock is None:
            connection.connect()  # sets TCP_NODELAY too
            self._check_certificate(connection)  # before the token is sent
        assert connection.sock is not None
        connection.sock.settimeout(self.timeout if timeout is None else timeout)
        connection.request(method, self._prefix + path, body=body, headers=dict(headers))
        sock = connection.sock  # the answer may take it over
        return Stream(self.url, connection.getresponse(), sock)

    def _check_certificate(self, connection: http.client.HTTPConnection) -> None:
        if self._https and self._pins is not None:
            assert isinstance(connection.sock, ssl.SSLSocket)
            self._pins.check(server_name(self.url), connection.sock.getpeercert(binary_form=True))

    def _connection(self) -> http.client.HTTPConnection:
        if self._https:
            context = ssl.create_default_context()
            if self._pins is not None:  # which certificate it must be is known exactly
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            return http.client.HTTPSConnection(self._host, self._port, timeout=self.timeout, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=self.timeout)


@contextlib.contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn the errors of sockets and of http.client into ours."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise ServerUnreachable(
            f"The certificate of {url} is not trusted: {error.verify_message}",
            fix="Give the server a certificate that this computer trusts.",
            code="certificate-refused",
        ) from error
    except TimeoutError as error:
        raise ServerUnreachable(
            f"{url} does not answer", fix="Wait a moment, or restart the server.", code="server-timeout"
        ) from error
    except ConnectionRefusedError as error:
        raise ServerUnreachable(f"No server is running at {url}", code="server-not-running") from error
    except socket.gaierror as error:
        raise ServerUnreachable(f"The name in {url} is not known", code="unknown-host") from error
    except (http.client.IncompleteRead, http.client.RemoteDisconnected, OSError) as error:
        raise ServerUnreachable(f"The connection to {url} broke", code="connection-lost") from error
    except (http.client.HTTPException, ValueError) as error:
        raise BadAnswer(f"What answers at {url} does not speak HTTP as this add-on's server does") from error


def problem(url: str, status: int, body: bytes) -> ClientError:
    """The error for an answer of status >= 400: the server's own words where it is our server that speaks."""
    try:
        value = json.loads(body)
        return ServerProblem(str(value["detail"]), fix=str(value["fix"]), code=str(value["code"]), status=status)
    except (ValueError, KeyError, TypeError):
        return BadAnswer(f"What answers at {url} is not this add-on's server: it says {status}")


def _split(url: str) -> SplitResult:
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        # Reading the port is what checks it.
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    raise ClientError(
        f"{url!r} is not a server's address", fix="Write it like http://127.0.0.1:8790.", code="bad-address"
    )
