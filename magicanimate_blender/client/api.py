"""The requests of docs/api.md as calls."""

import contextlib
import json
import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from .connection import Connection, Stream
from .errors import BadAnswer, ServerProblem, ServerUnreachable
from .events import EventStream
from .files import file_problem, part_path, sha256, write_atomic
from .model import Engine, Job, ServerInfo, Weights, parse, parse_list
from .pins import Pins

PNG = b"\x89PNG\r\n\x1a\n"
FRAME_NAME = re.compile(r"(\d{6,9})\.png")
CHUNK = 1 << 20
WORTH_ASKING = 1 << 14
"""Bytes: what is smaller is sent at once, as asking first costs as much."""
ATTEMPTS = 5
"""How often a download whose connection breaks goes on before it gives up."""


class Client:
    """One server. All calls block and raise ClientError; may be shared by threads."""

    def __init__(self, url: str, token: str, *, timeout: float = 10.0, pins: Pins | None = None) -> None:
        self.connection = Connection(url, token, timeout=timeout, pins=pins)
        self.url = self.connection.url

    def close(self) -> None:
        """Drop idle sockets. Running calls are not disturbed."""
        self.connection.close()

    # the server itself

    def server(self) -> ServerInfo:
        info = parse(ServerInfo, self._json("GET", "/v1/server"))
        if info.api != 1:
            raise BadAnswer(f"The server {info.version} at {self.url} speaks version {info.api} of the API, not 1")
        return info

    def unload(self) -> None:
        """Free the memory that the weights take on the device."""
        self._send("POST", "/v1/server/unload")

    def shutdown(self) -> None:
        self._send("POST", "/v1/server/shutdown")

    def engines(self) -> list[Engine]:
        return parse_list(Engine, self._json("GET", "/v1/engines"))

    # weights

    def weights(self) -> list[Weights]:
        return parse_list(Weights, self._json("GET", "/v1/weights"))

    def download_weights(self, weights: str, *, accept_licence: bool) -> None:
        """Start it; `weights()` then tells how far it is."""
        self._send("POST", f"/v1/weights/{weights}/download", {"accept_licence": accept_licence})

    def stop_download(self, weights: str) -> None:
        self._send("DELETE", f"/v1/weights/{weights}/download")

    def verify_weights(self, weights: str) -> None:
        self._send("POST", f"/v1/weights/{weights}/verify")

    def delete_weights(self, weights: str) -> None:
        self._send("DELETE", f"/v1/weights/{weights}")

    # inputs

    def has_blob(self, digest: str) -> bool:
        return self.connection.request("HEAD", f"/v1/blobs/{digest}", allow={404}).status != 404

    def upload(self, data: bytes) -> str:
        """Make sure that the server has `data`; returns its sha256."""
        digest = sha256(data)
        if len(data) < WORTH_ASKING or not self.has_blob(digest):
            headers = {"Content-Type": "application/octet-stream"}
            self.connection.request("PUT", f"/v1/blobs/{digest}", body=data, headers=headers)
        return digest

    # jobs

    def create_job(self, job: str, body: dict[str, Any]) -> Job:
        """The same body again gives the same job; another body is ServerProblem `job-exists`."""
        return parse(Job, self._json("PUT", f"/v1/jobs/{job}", body))

    def jobs(self) -> list[Job]:
        """Newest first."""
        return parse_list(Job, self._json("GET", "/v1/jobs"))

    def job(self, job: str) -> Job | None:
        """None if the server does not know it."""
        try:
            return parse(Job, self._json("GET", f"/v1/jobs/{job}"))
        except ServerProblem as error:
            if error.status == 404:
                return None
            raise

    def delete_job(self, job: str) -> None:
        """Cancel it while queued or running; delete it with its result once it has ended. Unknown is well, too."""
        try:
            self._send("DELETE", f"/v1/jobs/{job}")
        except ServerProblem as error:
            if error.status != 404:
                raise

    def retry_job(self, job: str) -> None:
        self._send("POST", f"/v1/jobs/{job}/retry")

    def pin_job(self, job: str, pinned: bool) -> None:
        """Pinned results are left alone by the server's clean-up."""
        self._send("POST", f"/v1/jobs/{job}/pin", {"pinned": pinned})

    def change_queue(self, *, paused: bool | None = None, order: Sequence[str] | None = None) -> None:
        change = {"paused": paused, "order": None if order is None else list(order)}
        self._send("PATCH", "/v1/queue", {key: value for key, value in change.items() if value is not None})

    def job_events(self, job: str) -> EventStream:
        """A context manager; see EventStream."""
        return EventStream(self.connection, f"/v1/jobs/{job}/events")

    def all_events(self) -> EventStream:
        """Events of every job."""
        return EventStream(self.connection, "/v1/events")

    # results

    def frame(self, job: str, frame: int) -> bytes:
        """PNG of frame `frame`, from 0. Raises ServerProblem `frame-not-ready` until it is decoded."""
        return _png(self.connection.request("GET", f"/v1/jobs/{job}/frames/{frame}.png").body)

    def frames(self, job: str, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """(n, PNG) of the frames start <= n < stop that are ready, as they arrive in one stream."""
        with self.connection.stream("GET", f"/v1/jobs/{job}/frames?start={start}&stop={stop}") as stream:
            yield from _untar(stream)

    def preview(self, job: str) -> bytes:
        """A small PNG of the job as it is now. Raises ServerProblem of status 404 while there is none."""
        return _png(self.connection.request("GET", f"/v1/jobs/{job}/preview.png").body)

    def recipe(self, job: str, path: Path) -> None:
        """Write recipe.json to `path`."""
        write_atomic(path, self.connection.request("GET", f"/v1/jobs/{job}/recipe.json").body)

    def video(self, job: str, path: Path) -> None:
        """Write video.mp4 to `path`; goes on where it was when the connection breaks."""
        part = part_path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._download(f"/v1/jobs/{job}/video.mp4", part)
            os.replace(part, path)
        except OSError as error:
            raise file_problem(path, error) from error
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def _download(self, url_path: str, part: Path) -> None:
        done, etag = 0, ""
        with part.open("wb") as file:
            for attempt in range(1, ATTEMPTS + 1):
                # If-Range: the rest only if it is still the same file, else all of it again.
                headers = {"Range": f"bytes={done}-", "If-Range": etag} if done and etag else {}
                try:
                    with self.connection.stream("GET", url_path, headers=headers) as stream:
                        if stream.status != 206:
                            done = 0
                            file.seek(0)
                            file.truncate()
                        etag = stream.headers.get("etag", "")
                        while chunk := stream.read_soon(CHUNK):
                            file.write(chunk)
                            done += len(chunk)
                    return
                except ServerUnreachable:
                    if attempt == ATTEMPTS:
                        raise

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        if body is None:
            return self.connection.request(method, path).body
        return self.connection.request(
            method, path, body=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
        ).body

    def _json(self, method: str, path: str, body: dict[str, Any] | None = None) -> object:
        answer = self._send(method, path, body)
        try:
            return cast(object, json.loads(answer))
        except ValueError as error:
            raise BadAnswer(f"What answers at {self.url} is not this add-on's server") from error


def _png(data: bytes) -> bytes:
    if not data.startswith(PNG):
        raise BadAnswer("The server sent a picture that is no PNG")
    return data


def _untar(stream: Stream) -> Iterator[tuple[int, bytes]]:
    try:
        with tarfile.open(fileobj=cast(Any, stream), mode="r|") as archive:
            for member in archive:
                name, file = FRAME_NAME.fullmatch(member.name), archive.extractfile(member)
                if name is None or file is None:
                    raise BadAnswer(f"The server sent a file that is no frame: {member.name[:40]!r}")
                yield int(name[1]), _png(file.read())
    except tarfile.TarError as error:
        # An empty range is an empty archive; anything else that ends early was cut.
        raise ServerUnreachable(f"The frames from {stream.url} broke off", code="connection-lost") from error
