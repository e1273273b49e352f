"""A real server process to talk to, started by `launch.py`."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from inference_server.media.labels import PALETTE
from tests.inference_server.faults.fixtures import fault_library, small_disk_of  # noqa: F401

HERE = Path(__file__).resolve().parent
ENDED = ("done", "failed", "cancelled")


def wait_until(condition: Callable[[], Any], seconds: float = 120.0, every: float = 0.02) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s")


def indexed_png(labels: np.ndarray) -> bytes:
    picture = Image.fromarray(labels, "P")
    picture.putpalette(PALETTE.ravel().tolist())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def label_maps(frames: int, size: int = 64) -> list[bytes]:
    """A bar of body parts that moves right."""
    maps = []
    for frame in range(frames):
        labels = np.zeros((size, size), np.uint8)
        labels[size // 4 : size // 2, (2 * frame) % size : (2 * frame) % size + 8] = 1 + frame % 24
        maps.append(indexed_png(labels))
    return maps


def reference_png(size: int = 64) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


class RunningServer:
    """One server process and an HTTP client that has its token."""

    def __init__(self, data: Path, options: tuple[str, ...], tree: Path, env: dict[str, str]) -> None:
        self.data = data
        self.options = options
        self.tree = tree
        self.env = env
        self.start()

    def start(self) -> None:
        (self.data / "server.json").unlink(missing_ok=True)
        command = [sys.executable, str(HERE / "launch.py"), "serve", str(self.tree), "--port", "0"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **self.env}
        self.data.mkdir(parents=True, exist_ok=True)
        with (self.data / "console.log").open("ab") as console:
            self.process = subprocess.Popen(
                [*command, "--data-dir", str(self.data), *self.options], stdout=console, stderr=console, env=environment
            )
        wait_until(lambda: (self.data / "server.json").exists() or self.process.poll() is not None)
        assert self.process.poll() is None, (self.data / "console.log").read_text()
        self.url = json.loads((self.data / "server.json").read_text())["url"]
        self.token = (self.data / "token").read_text()
        self.http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=20, trust_env=False
        )

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(10)
        self.http.close()

    def stop(self, how: int = signal.SIGTERM) -> int:
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def put_blob(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        assert self.http.put(f"/v1/blobs/{digest}", content=data).status_code in (200, 201)
        return digest

    def body(self, frames: int = 4, size: int = 64, **changes: Any) -> dict[str, Any]:
        """A job body for the walker whose inputs are uploaded."""
        body: dict[str, Any] = {
            "engine": "walker",
            "weights": "walker",
            "reference": self.put_blob(reference_png(size)),
            "tracks": {"densepose": [self.put_blob(data) for data in label_maps(frames, size)]},
            "fps": 24.0,
            "settings": {},
            "consent": True,
        }
        return {**body, **changes}

    def submit(self, **changes: Any) -> str:
        job = str(uuid.uuid4())
        answer = self.http.put(f"/v1/jobs/{job}", json=self.body(**changes))
        assert answer.status_code == 201, answer.text
        return job

    def job(self, job: str) -> dict[str, Any]:
        answer = self.http.get(f"/v1/jobs/{job}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wait_for(self, job: str, *states: str, seconds: float = 30.0) -> dict[str, Any]:
        def there() -> dict[str, Any] | None:
            found = self.job(job)
            assert found["state"] in (states or ENDED) or found["state"] not in ENDED, found
            return found if found["state"] in (states or ENDED) else None

        return wait_until(there, seconds)

    def wait_for_step(self, job: str, step: int) -> dict[str, Any]:
        return wait_until(lambda: (found := self.job(job))["progress"]["step"] >= step and found)

    def wait_for_frame(self, job: str, seconds: float) -> dict[str, Any]:
        return wait_until(lambda: (found := self.job(job))["progress"]["frames_done"] and found, seconds)

    @property
    def worker_pid(self) -> int | None:
        return self.http.get("/v1/server").json()["worker"]["pid"]

    def kill_worker(self) -> None:
        os.kill(wait_until(lambda: self.worker_pid), signal.SIGKILL)

    def final_latents(self, job: str) -> np.ndarray:
        return np.load(self.data / "jobs" / job / "trajectory" / "final.npy")

    def runs(self, job: str) -> list[str]:
        """Process ids of the workers that began the job."""
        return (self.data / "jobs" / job / "trajectory" / "runs").read_text().split()


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RunningServer]]:
    """start_server(*options, data=folder, tree=weights, env={}) -> RunningServer; all are ended afterwards."""
    started: list[RunningServer] = []

    def start(
        *options: str, data: Path | None = None, tree: Path = Path("none"), env: dict[str, str] | None = None
    ) -> RunningServer:
        # The disk of a test machine may be nearly full without any harm.
        options = ("--disk-reserve", "1", *options) if "--disk-reserve" not in options else options
        server = RunningServer(data or tmp_path_factory.mktemp("data"), options, tree, env or {})
        started.append(server)
        return server

    yield start
    for server in started:
        if server.process.poll() is None:
            server.kill()


@pytest.fixture(scope="module")
def server(start_server: Callable[..., RunningServer]) -> RunningServer:
    """One server for the tests of a module."""
    return start_server()
