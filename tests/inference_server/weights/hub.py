"""A hub on 127.0.0.1 that serves a folder as the Hugging Face hub serves repositories, and can cut the line."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from inference_server.weights.catalogue import REVISIONS

COMMIT = "c" * 40
"""What the hub's main branch is at."""


class Hub:
    """files: (repo, path in it) -> bytes. cut_after: bytes after which the next answer breaks off, once.

    commits: that it has. revisions: repo -> commit that was asked for. Large files (1,000 bytes) are known by their
    SHA-256, small ones by git's hash, as there.
    """

    def __init__(self, files: dict[tuple[str, str], bytes]) -> None:
        self.files = files
        self.cut_after: int | None = None
        self.false_hash = ""
        self.commits = {COMMIT, *filter(None, REVISIONS.values())}
        self.revisions: dict[str, str] = {}
        self.requests: list[tuple[str, str, str]] = []
        """Method, path in the repository, Range."""
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def hash_of(self, path: str, data: bytes) -> str:
        if path == self.false_hash:
            return "0" * (64 if len(data) > 1000 else 40)
        if len(data) > 1000:
            return hashlib.sha256(data).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    def entry(self, path: str, data: bytes) -> dict[str, object]:
        """As the hub lists a file."""
        known = {"type": "file", "path": path, "size": len(data), "oid": self.hash_of(path, data)}
        if len(data) <= 1000:
            return known
        return {**known, "oid": "a" * 40, "lfs": {"oid": known["oid"], "size": len(data), "pointerSize": 134}}

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
        path = self.path.partition("?")[0].lstrip("/")
        if path.startswith("api/models/"):
            self._answer_api(path.removeprefix("api/models/"))
            return
        repo, _, rest = path.partition("/resolve/")
        revision, _, path = rest.partition("/")
        data = self.hub.files.get((repo, path)) if revision in self.hub.commits else None
        self.hub.requests.append((self.command, path, self.headers.get("Range", "")))
        if data is None:
            self._refuse("EntryNotFound")
            return
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        body = data[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{self.hub.hash_of(path, data)}"')
        self.send_header("X-Repo-Commit", revision)
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

    def _answer_api(self, path: str) -> None:
        repo, _, rest = path.partition("/tree/")
        files = {name: data for (owner, name), data in self.hub.files.items() if owner == repo}
        if not files:
            self._refuse("RepoNotFound")
        elif not rest:
            self._send_json({"id": repo, "sha": COMMIT, "siblings": []})
        elif rest not in self.hub.commits:
            self._refuse("RevisionNotFound")
        else:
            self.hub.revisions[repo] = rest
            self._send_json([self.hub.entry(name, data) for name, data in files.items()])

    def _send_json(self, content: object) -> None:
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _refuse(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def published(tree: Path, parts: list) -> dict[tuple[str, str], bytes]:
    """The files of a tree under the repositories and names of the catalogue."""
    return {(part.repo, part.source): (tree / part.fetched).read_bytes() for part in parts}
