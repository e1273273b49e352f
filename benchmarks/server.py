"""How quick and small the serving process is: `python benchmarks/server.py`.

Start until the first answer, resident memory, 250 frames uploaded, and the time of a poll while a job runs on the CPU
with the demo weights. Prints medians; run it on a machine that does nothing else.
"""

import argparse
import hashlib
import http.client
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from inference_server.media.labels import PALETTE  # noqa: E402

FRAMES, SIZE = 250, 512
JOB_FRAMES, JOB_SIZE = 16, 128


class Client:
    """One keep-alive connection, as the add-on has it."""

    def __init__(self, data: Path) -> None:
        info = json.loads((data / "server.json").read_text())
        self.pid = int(info["pid"])
        self._connection = http.client.HTTPConnection("127.0.0.1", info["port"], timeout=30)
        self._headers = {"Authorization": f"Bearer {(data / 'token').read_text()}"}

    def __call__(self, method: str, path: str, body: bytes | None = None) -> bytes:
        headers = {**self._headers, "Content-Type": "application/json"}
        self._connection.request(method, path, body=body, headers=headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
        return content

    def upload(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        self("PUT", f"/v1/blobs/{digest}", data)
        return digest


@contextmanager
def serving(data: Path) -> Iterator[tuple[Client, float]]:
    """A server and the seconds from the start of its process to its first answer."""
    command = [sys.executable, "-m", "inference_server", "serve", "--port", "0", "--data-dir", str(data)]
    (data / "server.json").unlink(missing_ok=True)
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not (data / "server.json").exists():
            time.sleep(0.005)
        client = Client(data)
        client("GET", "/v1/server")
        yield client, time.perf_counter() - began
    finally:
        process.terminate()
        process.wait(30)


def resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def label_png(frame: int, size: int) -> bytes:
    """A disc of body parts that moves, as an indexed PNG."""
    y, x = np.mgrid[:size, :size]
    distance = np.hypot(x - size / 2 - frame % 100, y - size / 2)
    labels = np.where(distance < size / 4, 1 + distance.astype(int) % 24, 0).astype(np.uint8)
    picture = Image.fromarray(labels, "P")
    picture.putpalette(PALETTE.ravel().tolist())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def reference_png(size: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def spread(seconds: list[float]) -> str:
    median, late = statistics.median(seconds), percentile(seconds, 0.95)
    return f"median {median * 1000:.1f} ms, p95 {late * 1000:.1f} ms of {len(seconds)}"


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def polls_during_a_job(client: Client, data: Path, steps: int) -> list[float]:
    """Seconds of GET /v1/server, asked ten times a second from the job's first step to its end."""
    maps = [client.upload(label_png(n, JOB_SIZE)) for n in range(JOB_FRAMES)]
    body = {
        "engine": "magicanimate",
        "weights": "demo",
        "reference": client.upload(reference_png(JOB_SIZE)),
        "tracks": {"densepose": maps},
        "settings": {"steps": steps},
        "consent": True,
    }
    job = uuid.uuid4()
    client("PUT", f"/v1/jobs/{job}", json.dumps(body).encode())
    ended, times, watcher = threading.Event(), [], Client(data)

    def watch() -> None:
        while json.loads(watcher("GET", f"/v1/jobs/{job}"))["state"] in ("queued", "running"):
            time.sleep(0.25)
        ended.set()

    while json.loads(client("GET", f"/v1/jobs/{job}"))["progress"]["step"] < 1:
        time.sleep(0.1)
    threading.Thread(target=watch, daemon=True).start()
    while not ended.is_set():
        began = time.perf_counter()
        client("GET", "/v1/server")
        times.append(time.perf_counter() - began)
        time.sleep(0.1)
    state = json.loads(client("GET", f"/v1/jobs/{job}"))
    if state["state"] != "done":
        raise RuntimeError(f"the job ended as {state['state']}: {state['problem']}")
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="denoising steps of the job that runs during the polls")
    options = parser.parse_args()
    starts, resident, cpu = [], [], []
    for _ in range(options.starts):
        with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as (client, seconds):
            starts.append(seconds)
            resident.append(resident_mb(client.pid))
            cpu.append(cpu_seconds(client.pid))
    print(f"start to first answer: median {statistics.median(starts):.2f} s, best {min(starts):.2f} s of {len(starts)}")
    print(f"of which CPU time:     median {statistics.median(cpu):.2f} s (what it takes on a quiet core)")
    print(f"resident after it:     median {statistics.median(resident):.0f} MB")
    frames = [label_png(n, SIZE) for n in range(FRAMES)]
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as (client, _):
        began, cpu_before = time.perf_counter(), cpu_seconds(client.pid)
        for data in frames:
            client.upload(data)
        took, worked = time.perf_counter() - began, cpu_seconds(client.pid) - cpu_before
        print(
            f"{FRAMES} frames of {SIZE} x {SIZE} uploaded: {took:.2f} s over one connection, {worked:.2f} s of CPU time"
        )
        idle = []
        for _ in range(200):
            began = time.perf_counter()
            client("GET", "/v1/server")
            idle.append(time.perf_counter() - began)
        print(f"poll, idle:            {spread(idle)}")
        print(f"poll, job on the CPU:  {spread(polls_during_a_job(client, Path(folder), options.steps))}")
        print(f"resident after all:    {resident_mb(client.pid):.0f} MB")


if __name__ == "__main__":
    main()
