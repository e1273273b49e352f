"""Who may speak to the server. A web page in the artist's browser must not, nor another user of the computer."""

import hmac
import ipaddress
import logging
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inference_server.api.problems import problem
from inference_server.errors import UserError
from inference_server.jobs.folder import DataFolder

TOKEN_VARIABLE = "MAGICANIMATE_TOKEN"
MIN_TOKEN = 16
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
            if os.name == "posix":
                path.chmod(0o600)
            token = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise UserError(
            f"The token file {path} cannot be used: {error}", fix="Delete it; a new one is made.", code="token-file"
        ) from error
    if len(token) < MIN_TOKEN:
        raise UserError(
            f"The token in {path if not os.environ.get(TOKEN_VARIABLE) else TOKEN_VARIABLE} is too short",
            fix=f"Use at least {MIN_TOKEN} random characters, or delete the file and let the server make one.",
            code="weak-token",
        )
    return token


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Gate:
    """ASGI middleware: Host allow-list, no Origin, bearer token, and a bound on the body. Pure ASGI, so it streams.

    hosts: names that clients may call the server by. any_address: also any numeric address (a server opened to the
    network); a name that is not listed is refused even then, which is what stops DNS rebinding.
    """

    def __init__(self, app: ASGIApp, *, token: str, hosts: Iterable[str], any_address: bool, upload_bytes: int) -> None:
        self._app = app
        self._token = f"Bearer {token}".encode()
        self._hosts = {host.lower() for host in (*LOOPBACK_NAMES, *hosts)}
        self._any_address = any_address
        self._upload_bytes = upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no WebSockets
            return
        headers = scope["headers"]
        refusal = self._refuse(headers)
        limit = self._upload_bytes if scope["path"].startswith("/v1/blobs/") else MAX_JSON
        if refusal is None and _length(headers) > limit:
            refusal = 413, f"The body is larger than {limit:,} bytes", "Send less.", "upload-too-large"
        if refusal is not None:
            status, detail, fix, code = refusal
            log.warning("refused %s %s: %s", scope["method"], scope["path"], code)
            extra = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
            answer = problem(status, detail, fix=fix, code=code, headers={**extra, "Connection": "close"})
            await answer(scope, receive, send)
            return
        await self._app(scope, _bounded(receive, limit), send)

    def _refuse(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[int, str, str, str] | None:
        fields: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            fields.setdefault(name, []).append(value)
        if b"origin" in fields:
            return 403, "Requests from web pages are refused", "Use the add-on or another program.", "origin-refused"
        hosts = fields.get(b"host", [])
        if len(hosts) != 1 or not self._is_own(hosts[0].decode("latin-1")):
            fix = "Call the server by 127.0.0.1, or start it with --allow-host NAME."
            return 403, "The server is not known by that name", fix, "host-refused"
        given = fields.get(b"authorization", [])
        if len(given) != 1 or not hmac.compare_digest(given[0], self._token):
            fix = f"Use the token that the file “token” in the server's data folder holds, or {TOKEN_VARIABLE}."
            return 401, "The token is missing or wrong", fix, "wrong-token"
        return None

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


def _bounded(receive: Receive, limit: int) -> Receive:
    received = 0

    async def bounded() -> Message:
        nonlocal received
        message = await receive()
        if message["type"] == "http.request":
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413, f"The body is larger than {limit:,} bytes")
        return message

    return bounded


def _length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
