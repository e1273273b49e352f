"""A hub on 127.0.0.1 that serves a folder as the Hugging Face hub serves repositories, and can cut the line."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "c" * 40


class Hub:
    """files: (repo, path in it) -> bytes. cut_after: bytes after which the next answer breaks off, once."""

    def __init__(self, files: dict[tuple[str, str], bytes]) -> None:
        self.files = files
        self.cut_after: int | None = None
        self.false_hash = ""
        self.requests: list[tuple[str, str, str]] = []
        """Method, path in the repository, Range."""
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        repo, _, path = self.path.lstrip("/").partition("/resolve/main/")
        data = self.hub.files.get((repo, path))
        self.hub.requests.append((self.command, path, self.headers.get("Range", "")))
        if data is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        body = data[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(body)))
        etag = hashlib.sha256(data).hexdigest()
        if self.hub.false_hash == path:
            etag = "0" * 64
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if not with_body:
            return
        cut = self.hub.cut_after
        if cut is not None and len(body) > cut:
            self.wfile.write(body[:cut])
            self.wfile.flush()
            self.hub.cut_after = None
            self.close_connection = True
            self.connection.close()
            return
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def published(tree: Path, parts: list) -> dict[tuple[str, str], bytes]:
    """The files of a tree under the repositories and names of the catalogue."""
    return {(part.repo, part.source): (tree / part.fetched).read_bytes() for part in parts}
