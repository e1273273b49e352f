"""A server by docs/api.md with made-up frames, whose faults are scripted. It keeps jobs over `kill` and `start`."""

import contextlib
import hashlib
import io
import json
import re
import socket
import struct
import tarfile
import threading
import time
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "secret"
Fault = Callable[["Handler"], bool]
"""Sees each request first; True if it has answered (or broken) it."""


def png(width: int = 2, height: int = 2, value: int = 0) -> bytes:
    """A small grey PNG whose bytes differ with `value`."""
    rows = (b"\0" + bytes([value % 256, value // 256 % 256])[:width].ljust(width, b"\0")) * height

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


class FakeServer:
    """steps: denoising steps of a job; pace: seconds a step or a frame takes. Jobs stop before a step or frame while
    `gate` is cleared."""

    def __init__(self, *, steps: int = 2, pace: float = 0.002, version: str = "0.1.0") -> None:
        self.steps, self.pace, self.version = steps, pace, version
        self.blobs: dict[str, bytes] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.frames: dict[str, dict[int, bytes]] = {}
        self.events: list[tuple[int, str, str, str]] = []  # id, job, name, data
        self.fault: Fault = lambda handler: False
        self.requests: list[str] = []
        self.changed = threading.Condition()
        self.gate = threading.Event()
        self.gate.set()
        self.up = False
        self._sockets: set[socket.socket] = set()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, port: int = 0) -> None:
        """port: 0 takes a free one."""
        self.http = ThreadingHTTPServer(("127.0.0.1", port), type("Bound", (Handler,), {"fake": self}))
        self.http.daemon_threads = True
        self.port = self.http.server_address[1]
        self.up = True
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        for job in self.jobs.values():
            if job["state"] == "running":
                job["state"] = "queued"
        threading.Thread(target=self._work, args=(self.http,), daemon=True).start()

    def kill(self) -> None:
        """As kill -9 would: every connection breaks, nothing answers. Jobs are kept, as on disk."""
        self.up = False
        self.http.shutdown()
        self.http.server_close()
        for connection in list(self._sockets):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        with self.changed:
            self.changed.notify_all()

    def emit(self, job: str, name: str, data: dict[str, Any]) -> None:
        with self.changed:
            self.events.append((len(self.events) + 1, job, name, json.dumps(data)))
            self.changed.notify_all()

    def update(self, job: dict[str, Any], **changes: Any) -> None:
        progress = changes.pop("progress", {})
        job.update(changes)
        job["progress"] = {**job["progress"], **progress}
        self.emit(job["id"], "job", job)

    def _work(self, http: ThreadingHTTPServer) -> None:
        while self.up and self.http is http:
            job = next((j for j in list(self.jobs.values()) if j["state"] == "queued"), None)
            if job is None:
                time.sleep(0.002)
            else:
                self._run_job(job, lambda: self.up and self.http is http)

    def _may_go_on(self, job: dict[str, Any], alive: Callable[[], bool]) -> bool:
        time.sleep(self.pace)
        while not self.gate.wait(0.01) and alive() and job["state"] == "running":
            pass
        return alive() and job["state"] == "running"

    def _run_job(self, job: dict[str, Any], alive: Callable[[], bool]) -> None:
        frames = job["progress"]["frames"]
        self.update(job, state="running", started_at=time.time(), progress={"stage": "denoising"})
        for step in range(1, self.steps + 1):
            if not self._may_go_on(job, alive):
                return
            self.update(job, progress={"step": step, "fraction": step / (self.steps + 1), "eta_s": 1.0})
        if job["body"].get("base_job") is not None:  # frames of the base are there at once, and replaced later
            for frame in range(frames):
                self.frames[job["id"]][frame] = png(value=200)
                self.emit(job["id"], "frame", {"id": job["id"], "frame": frame})
        for frame in range(frames):
            if not self._may_go_on(job, alive):
                return
            self.frames[job["id"]][frame] = png(value=frame)
            self.update(job, progress={"stage": "decoding", "frames_done": frame + 1})
            self.emit(job["id"], "frame", {"id": job["id"], "frame": frame})
        result = {
            "frames": frames, "width": 64, "height": 64, "fps": 24.0, "computed_frames": frames, "seconds": 1.5,
            "demo_weights": True,
        }  # fmt: skip
        self.update(job, state="done", finished_at=time.time(), result=result, progress={"fraction": 1.0})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    fake: FakeServer

    def log_message(self, *args: Any) -> None:
        pass

    def setup(self) -> None:
        super().setup()
        self.fake._sockets.add(self.connection)

    def finish(self) -> None:
        self.fake._sockets.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def answer(self, status: int, body: bytes = b"", kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def json(self, status: int, value: Any) -> None:
        self.answer(status, json.dumps(value).encode())

    def problem(
        self, status: int, code: str, detail: str = "It did not work", fix: str = "Try something else."
    ) -> None:
        value = {"type": "about:blank", "title": code, "status": status, "detail": detail, "code": code, "fix": fix}
        self.answer(status, json.dumps(value).encode(), "application/problem+json")

    def route(self) -> None:
        self.fake.requests.append(f"{self.command} {self.path}")
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.fake.fault(self):
            return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.problem(401, "wrong-token", "The token is wrong", "Use the token of this server.")
            return
        for method, pattern, action in ROUTES:
            if method == self.command and (found := re.fullmatch(pattern, self.path)):
                action(self, *found.groups())
                return
        self.problem(404, "not-found")

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = route  # noqa: N815

    def server_info(self) -> None:
        states = [job["state"] for job in self.fake.jobs.values()]
        self.json(200, {
            "name": "MagicAnimate", "version": self.fake.version, "api": 1, "pid": 1, "uptime_s": 1.0,
            "device": {"kind": "cpu", "name": "test", "memory_total": 8, "memory_free": 4},
            "worker": {"state": "idle", "pid": 2},
            "queue": {"paused": False, "queued": states.count("queued"), "running": states.count("running")},
            "limits": {"upload_bytes": 1 << 20, "pixels": 1 << 20, "frames": 1000},
        })  # fmt: skip

    def engines(self) -> None:
        self.json(200, [{
            "id": "magicanimate", "title": "MagicAnimate", "settings_schema": {"properties": {"steps": {}}},
            "tracks": [{"name": "densepose", "title": "Maps", "description": "", "encoding": "densepose-labels"}],
            "weight_sets": [{"id": "demo", "title": "Demo", "demo": True, "size_multiple": 64,
                             "default_size": [128, 128], "state": "ready"}],
        }])  # fmt: skip

    def weights(self) -> None:
        self.json(200, [{
            "id": "demo", "title": "Demo", "demo": True, "state": "ready", "size_bytes": 1, "licence": "CC0",
            "licence_url": "", "accepted": True, "download": None,
        }])  # fmt: skip

    def blob(self, digest: str) -> None:
        if self.command == "HEAD":
            self.answer(200 if digest in self.fake.blobs else 404)
        elif hashlib.sha256(self.body).hexdigest() != digest:
            self.problem(422, "hash-differs")
        else:
            known = digest in self.fake.blobs
            self.fake.blobs[digest] = self.body
            self.answer(200 if known else 201)

    def put_job(self, job: str) -> None:
        body = json.loads(self.body)
        if job in self.fake.jobs:
            if self.fake.jobs[job]["body"] != body:
                self.problem(409, "job-exists")
            else:
                self.json(200, self.fake.jobs[job])
            return
        maps = body["tracks"]["densepose"]
        missing = [digest for digest in [body["reference"], *maps] if digest not in self.fake.blobs]
        if missing:
            self.problem(422, "blob-missing", f"{missing[0]} was not uploaded")
            return
        self.fake.frames[job] = {}
        self.fake.jobs[job] = {
            "id": job, "state": "queued", "position": 0, "pinned": False, "created_at": time.time(),
            "started_at": None, "finished_at": None, "body": body, "notes": [], "problem": None, "result": None,
            "progress": {"stage": "waiting", "step": 0, "steps": self.fake.steps, "frames_done": 0,
                         "frames": len(maps), "fraction": 0.0, "eta_s": None},
        }  # fmt: skip
        self.json(201, self.fake.jobs[job])

    def get_job(self, job: str) -> None:
        if job in self.fake.jobs:
            self.json(200, self.fake.jobs[job])
        else:
            self.problem(404, "no-such-job")

    def delete_job(self, job: str) -> None:
        found = self.fake.jobs.get(job)
        if found is None:
            self.problem(404, "no-such-job")
        elif found["state"] in ("queued", "running"):
            self.fake.update(found, state="cancelled")
            self.answer(202)
        else:
            del self.fake.jobs[job]
            self.fake.emit(job, "removed", {"id": job})
            self.answer(204)

    def retry(self, job: str) -> None:
        self.fake.update(self.fake.jobs[job], state="queued", problem=None)
        self.json(200, self.fake.jobs[job])

    def job_events(self, job: str) -> None:
        after = int(self.headers.get("Last-Event-ID") or 0)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.chunk(b": hello\n\n")
        if after == 0 and job in self.fake.jobs:
            after = len(self.fake.events)
            self.chunk(f"id: {after}\nevent: job\ndata: {json.dumps(self.fake.jobs[job])}\n\n".encode())
        http = self.fake.http
        while self.fake.up and self.fake.http is http:
            with self.fake.changed:
                self.fake.changed.wait(0.05)
                fresh = self.fake.events[after:]
            for number, owner, name, data in fresh:
                after = number
                if owner == job:
                    self.chunk(f"id: {number}\nevent: {name}\ndata: {data}\n\n".encode())
        self.close_connection = True

    def chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def frame(self, job: str, number: str) -> None:
        found = self.fake.frames.get(job, {}).get(int(number))
        if found is None:
            self.problem(404, "frame-not-ready")
        else:
            self.answer(200, found, "image/png")

    def frame_range(self, job: str, start: str, stop: str) -> None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for number, data in sorted(self.fake.frames.get(job, {}).items()):
                if int(start) <= number < int(stop):
                    member = tarfile.TarInfo(f"{number:06d}.png")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
        self.answer(200, buffer.getvalue(), "application/x-tar")

    def video(self, job: str) -> None:
        data, begin = VIDEO, 0
        if found := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            begin = int(found[1])
        self.answer(206 if begin else 200, data[begin:], "video/mp4", ETag='"v1"')

    def preview(self, job: str) -> None:
        self.answer(200, png(value=7), "image/png")

    def recipe(self, job: str) -> None:
        self.json(200, {"recipe": job})

    def accepted(self, *_: str) -> None:
        self.json(202, {})


VIDEO = bytes(range(256)) * 4096
ID = r"([0-9a-f-]{36})"
ROUTES: list[tuple[str, str, Callable[..., None]]] = [
    ("GET", "/v1/server", Handler.server_info),
    ("POST", "/v1/server/(?:unload|shutdown)", Handler.accepted),
    ("GET", "/v1/engines", Handler.engines),
    ("GET", "/v1/weights", Handler.weights),
    ("HEAD", "/v1/blobs/([0-9a-f]{64})", Handler.blob),
    ("PUT", "/v1/blobs/([0-9a-f]{64})", Handler.blob),
    ("PUT", f"/v1/jobs/{ID}", Handler.put_job),
    ("GET", f"/v1/jobs/{ID}", Handler.get_job),
    ("DELETE", f"/v1/jobs/{ID}", Handler.delete_job),
    ("POST", f"/v1/jobs/{ID}/retry", Handler.retry),
    ("GET", f"/v1/jobs/{ID}/events", Handler.job_events),
    ("GET", f"/v1/jobs/{ID}/frames/(\\d+).png", Handler.frame),
    ("GET", f"/v1/jobs/{ID}/frames\\?start=(\\d+)&stop=(\\d+)", Handler.frame_range),
    ("GET", f"/v1/jobs/{ID}/video.mp4", Handler.video),
    ("GET", f"/v1/jobs/{ID}/preview.png", Handler.preview),
    ("GET", f"/v1/jobs/{ID}/recipe.json", Handler.recipe),
]
