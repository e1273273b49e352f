"""Who may speak to the server. A web page in the artist's browser must not, nor another user of the computer."""

import asyncio
import hmac
import ipaddress
import logging
import os
import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inference_server.api.audit import Audit
from inference_server.api.logs import shown_path
from inference_server.api.problems import problem
from inference_server.api.throttle import Throttle
from inference_server.errors import UserError
from inference_server.jobs.folder import DataFolder
from inference_server.jobs.people import SINGLE, People, Person

TOKEN_VARIABLE = "MAGICANIMATE_TOKEN"
MIN_TOKEN, MIN_DIFFERENT = 16, 8
"""Characters of a token that somebody made up, and how many of them must differ."""
MAX_REQUESTS = 128
"""Requests of one person at a time, event streams included, so that there are connections left for others."""
MAX_PATH = 2000
"""Bytes of path and query; the longest of ours has 100."""
READING = ("GET", "HEAD", "OPTIONS")
BODY_WAIT = 60.0
"""Seconds in which the next piece of a body must come."""
MAX_JSON = 4 * 2**20
"""Bytes of a request body that is not an upload."""
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")

log = logging.getLogger(__name__)


def load_token(folder: DataFolder, token_file: Path | None = None) -> str:
    """From the environment, else from the file, made at first start for this user alone.

    Raises UserError `weak-token` for one that can be guessed, `token-file` for a file that cannot be used.
    """
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    path = token_file or folder.token
    try:
        if not token and not path.exists():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_urlsafe(32))
        if not token:
            if os.name == "posix" and token_file is None:  # the user's own may be a read-only secret
                path.chmod(0o600)
            token = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise UserError(
            f"The token file {path} cannot be used: {error}", fix="Delete it; a new one is made.", code="token-file"
        ) from error
    if len(token) < MIN_TOKEN or len(set(token)) < MIN_DIFFERENT or not (token.isascii() and token.isprintable()):
        raise UserError(
            f"The token in {path if not os.environ.get(TOKEN_VARIABLE) else TOKEN_VARIABLE} can be guessed",
            fix=f"Use at least {MIN_TOKEN} random letters and digits, or delete the file and let the server make one.",
            code="weak-token",
        )
    return token


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class Refusal:
    status: int
    detail: str
    fix: str
    code: str


class Gate:
    """ASGI middleware: Host allow-list, no Origin, bearer token, and bounds on path and body. Pure ASGI, so it streams.

    hosts: names that clients may call the server by. any_address: also any numeric address (a server opened to the
    network); a name that is not listed is refused even then, which is what stops DNS rebinding.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str,
        people: People,
        audit: Audit,
        hosts: Iterable[str],
        any_address: bool,
        upload_bytes: int,
    ) -> None:
        self._app = app
        self._token = token.encode()
        self._people = people
        self._audit = audit
        self._hosts = {host.lower() for host in (*LOOPBACK_NAMES, *hosts)}
        self._any_address = any_address
        self._upload_bytes = upload_bytes
        self._throttle = Throttle()
        self._busy: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no WebSockets
            return
        address = scope["client"][0] if scope["client"] else ""
        limit = self._upload_bytes if scope["path"].startswith("/v1/blobs/") else MAX_JSON
        judged = self._judge(scope, address, limit)
        if isinstance(judged, Person):
            self._busy[judged.name] += 1
            try:
                await self._let_in(judged, address, scope, _Body(limit, receive, send))
            finally:
                self._busy[judged.name] -= 1
        else:
            await self._turn_away(judged, address, scope, receive, send)

    async def _let_in(self, person: Person, address: str, scope: Scope, body: "_Body") -> None:
        scope["state"] = {**scope.get("state", {}), "person": person}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start" and is_change:
                self._audit.request(person, address, scope["method"], scope["path"], message["status"])
            await body.send(message)

        is_upload = scope["method"] == "PUT" and scope["path"].startswith("/v1/blobs/")  # its job is noted
        is_change = scope["method"] not in READING and not is_upload
        await self._app(scope, body.receive, send)

    async def _turn_away(self, refusal: Refusal, address: str, scope: Scope, receive: Receive, send: Send) -> None:
        log.warning("refused %s %s: %s", scope["method"][:10], shown_path(scope["path"]), refusal.code)
        if refusal.code == "wrong-token":
            await self._throttle.wrong_token(address)
        extra = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "1"}}.get(refusal.status, {})
        answer = problem(
            refusal.status,
            refusal.detail,
            fix=refusal.fix,
            code=refusal.code,
            headers={**extra, "Connection": "close"},
        )
        await answer(scope, receive, send)

    def _person(self, authorization: bytes) -> Person | None:
        scheme, _, token = authorization.partition(b" ")
        if scheme != b"Bearer":
            return None
        if hmac.compare_digest(token, self._token):
            return SINGLE
        return self._people.find(token)

    def _judge(self, scope: Scope, address: str, limit: int) -> Person | Refusal:
        if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_PATH:
            fix = "Use the addresses that docs/api.md lists."
            return Refusal(414, f"The address is longer than {MAX_PATH} bytes", fix, "path-too-long")
        fields: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            fields.setdefault(name, []).append(value)
        if b"origin" in fields:
            return Refusal(
                403, "Requests from web pages are refused", "Use the add-on or another program.", "origin-refused"
            )
        hosts = fields.get(b"host", [])
        if len(hosts) != 1 or not self._is_own(hosts[0].decode("latin-1")):
            fix = "Call the server by 127.0.0.1, or start it with --allow-host NAME."
            return Refusal(403, "The server is not known by that name", fix, "host-refused")
        if self._throttle.is_full(address):
            fix = "Wait a second, then try again."
            return Refusal(429, "Too many wrong tokens come from this address", fix, "too-many-attempts")
        given = fields.get(b"authorization", [])
        person = self._person(given[0]) if len(given) == 1 else None
        if person is None:
            fix = f"Use the token that the file “token” in the server's data folder holds, or {TOKEN_VARIABLE}."
            return Refusal(401, "The token is missing or wrong", fix, "wrong-token")
        if not person.admin and self._busy[person.name] >= MAX_REQUESTS:
            fix = "Close what reads events, or wait for answers."
            return Refusal(429, f"{MAX_REQUESTS} requests of yours are not answered yet", fix, "too-many-requests")
        if _length(scope["headers"]) > limit:
            return Refusal(413, f"The body is larger than {limit:,} bytes", "Send less.", "upload-too-large")
        return person

    def _is_own(self, host: str) -> bool:
        name = host.lower()
        if not name.endswith("]"):
            before, colon, port = name.rpartition(":")
            if colon and port.isascii() and port.isdigit():
                name = before
        if name in self._hosts:
            return True
        if not self._any_address:
            return False
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True


class _Body:
    """The body of one request, no longer than `limit`, with no pause longer than BODY_WAIT.

    Where it breaks a bound, the connection is closed after the answer: what else is sent on it is not read.
    """

    def __init__(self, limit: int, receive: Receive, send: Send) -> None:
        self._limit = limit
        self._receive = receive
        self._send = send
        self._received = 0
        self._whole = False
        self._broken = False

    async def receive(self) -> Message:
        if self._whole:  # the application waits for the client to hang up
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), BODY_WAIT)
        except TimeoutError:
            self._broken = True
            return {"type": "http.disconnect"}
        if message["type"] == "http.request":
            self._whole = not message.get("more_body", False)
            self._received += len(message.get("body", b""))
            if self._received > self._limit:
                self._broken = True
                raise HTTPException(413, f"The body is larger than {self._limit:,} bytes")
        return message

    async def send(self, message: Message) -> None:
        if self._broken and message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), (b"connection", b"close")]}
        await self._send(message)


def _length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
