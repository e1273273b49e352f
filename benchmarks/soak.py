"""Does the server stand a day of work? `python benchmarks/soak.py --minutes 20`.

Two people send small jobs over the whole time (of the tests' engine without a network, or with --engine demo of the
demo weights), some are cancelled, some deleted; 60 readers poll and
listen meanwhile; the worker and the server are killed (SIGKILL) at random and the server is started again. At the end
every job that was accepted must have ended, and after all were deleted no file may be left. Prints JSON: the memory of
both processes and its slope, the times of the polls, what was lost or left behind. Linux only (/proc).
"""

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from server import ROOT, label_png, percentile, reference_png, resident_mb  # benchmarks/server.py

PEOPLE = ("ann", "ben")
FRAMES, SIZE = 2, 64
SETTINGS = {"walker": {"steps": 10, "step_seconds": 0.1}, "demo": {"steps": 2}}
WARM_UP = 45.0
"""Seconds of a process's life that do not count for its slope: loading, first connections."""
DOWN = (OSError, http.client.HTTPException)


@dataclass
class Seen:
    """What was measured. memory: (role, process id) -> times in seconds and MB."""

    polls: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    unreachable: int = 0
    events: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    memory: dict[tuple[str, int], list[tuple[float, float]]] = field(default_factory=dict)


class Server:
    """One server process on one port, which is started again after a kill."""

    def __init__(self, data: Path, engine: str) -> None:
        self.data = data
        launch = [str(ROOT / "tests" / "inference_server" / "launch.py"), "serve", "none"]
        self.command = [sys.executable, *(launch if engine == "walker" else ["-m", "inference_server", "serve"])]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = self.start()

    def start(self) -> "subprocess.Popen[bytes]":
        (self.data / "server.json").unlink(missing_ok=True)
        options = ["--port", str(self.port), "--data-dir", str(self.data), "--disk-reserve", "1"]
        with (self.data / "console.log").open("ab") as console:
            self.process = subprocess.Popen(
                [*self.command, *options],
                cwd=ROOT,
                stdout=console,
                stderr=console,
            )
        while not (self.data / "server.json").exists():
            if self.process.poll() is not None:
                raise RuntimeError((self.data / "console.log").read_text()[-2000:])
            time.sleep(0.05)
        return self.process

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def token_for(self, name: str) -> str:
        command = [sys.executable, "-m", "inference_server", "serve", "tokens", "add", name, "--max-jobs", "1000"]
        done = subprocess.run([*command, "--data-dir", str(self.data)], cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout.splitlines()[1]


class Person:
    """Calls with one token. Raises DOWN while the server does not answer."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def __call__(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body=body, headers=self.headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def surely(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Again until the server answers, as the add-on does."""
        while True:
            try:
                return self(method, path, body)
            except DOWN:
                time.sleep(0.2)

    def jobs(self) -> list[dict[str, Any]]:
        return list(json.loads(self.surely("GET", "/v1/jobs?limit=1000")[1]))


def send(person: Person, seed: int, engine: str) -> str:
    """A job with two new part maps under the person's picture. Returns its id."""
    inputs = [reference_png(SIZE), *(label_png(seed * FRAMES + n, SIZE) for n in range(FRAMES))]
    hashes = [sha256(data) for data in inputs]
    body = {
        "engine": "magicanimate" if engine == "demo" else engine,
        "weights": engine,
        "reference": hashes[0],
        "tracks": {"densepose": hashes[1:]},
        "settings": SETTINGS[engine] | {"seed": seed},
        "consent": True,
        "name": f"soak {seed}",
    }
    job = str(uuid.uuid4())
    while True:  # an input may be erased between its upload and the job: then all is sent again
        for digest, data in zip(hashes, inputs, strict=True):
            person.surely("PUT", f"/v1/blobs/{digest}", data)
        status, answer = person.surely("PUT", f"/v1/jobs/{job}", json.dumps(body).encode())
        if status in (200, 201):
            return job
        if json.loads(answer)["code"] != "blob-missing":
            raise RuntimeError(f"{status} {answer!r}")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read(person: Person, seen: Seen, ends: threading.Event, draw: random.Random) -> None:
    """A reader that polls the server, the list and single jobs about once a second."""
    known: list[str] = []
    while not ends.wait(draw.uniform(0.5, 1.5)):
        path = draw.choice(["/v1/server", "/v1/jobs?limit=50", *(f"/v1/jobs/{job}" for job in known[:3])])
        began = time.perf_counter()
        try:
            status, content = person("GET", path)
        except DOWN:
            seen.unreachable += 1
            continue
        seen.polls.append(time.perf_counter() - began)
        seen.statuses[status] += 1
        if path.startswith("/v1/jobs?") and status == 200:
            known = [job["id"] for job in json.loads(content)]


def listen(person: Person, seen: Seen, ends: threading.Event) -> None:
    """A reader of the events of all jobs, which connects again."""
    while not ends.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", person.port, timeout=20)
        with contextlib.suppress(*DOWN), contextlib.closing(connection):
            connection.request("GET", "/v1/events", headers=person.headers)
            answer = connection.getresponse()
            while not ends.is_set() and (line := answer.readline()):
                seen.events += line.startswith(b"event:")
        ends.wait(0.5)


def watch_memory(server: Server, admin: Person, seen: Seen, ends: threading.Event) -> None:
    while not ends.wait(2.0):
        with contextlib.suppress(*DOWN, ValueError, RuntimeError, KeyError):
            info = json.loads(admin("GET", "/v1/server")[1])
            for role, pid in (("server", info["pid"]), ("worker", info["worker"]["pid"])):
                if pid is not None:
                    seen.memory.setdefault((role, pid), []).append((time.monotonic(), resident_mb(pid)))


def slope(points: list[tuple[float, float]]) -> float | None:
    """MB per hour by least squares after the warm-up, None for a life that is too short to tell."""
    points = [point for point in points if point[0] - points[0][0] > WARM_UP]
    if len(points) < 20:
        return None
    return statistics.linear_regression([t / 3600 for t, _ in points], [mb for _, mb in points]).slope


def trouble(server: Server, admin: Person, seen: Seen, seconds: float, ends: threading.Event, options: Any) -> None:
    """Kill the worker and the server at random moments of the first nine tenths."""
    draw = random.Random(options.seed)
    moments = [(draw.uniform(0.05, 0.9) * seconds, "worker") for _ in range(options.worker_kills)]
    moments += [(draw.uniform(0.1, 0.6) * seconds, "server") for _ in range(options.server_kills)]
    began = time.monotonic()
    for moment, what in sorted(moments):
        if ends.wait(max(0.0, began + moment - time.monotonic())):
            return
        with contextlib.suppress(*DOWN, ValueError, ProcessLookupError):
            if what == "worker":
                pid = json.loads(admin("GET", "/v1/server")[1])["worker"]["pid"]
                if pid is None:
                    continue
                os.kill(pid, signal.SIGKILL)
            else:
                server.kill()
                server.start()
            seen.kills[what] += 1


def work(people: list[Person], seconds: float, options: Any) -> dict[str, Person]:
    """Send all jobs over nine tenths of the time, cancel or delete some of them. Returns those that must be there."""
    draw, began, sent = random.Random(options.seed + 1), time.monotonic(), dict[str, Person]()
    for number in range(options.jobs):
        person = draw.choice(people)
        sent[send(person, number, options.engine)] = person
        if draw.random() < 0.15:
            job = draw.choice(list(sent))
            owner = sent[job]
            state = json.loads(owner.surely("GET", f"/v1/jobs/{job}")[1])["state"]
            owner.surely("DELETE", f"/v1/jobs/{job}")
            status, _ = owner.surely("GET", f"/v1/jobs/{job}")
            if status == 404:
                del sent[job]
            elif state in ("done", "failed", "cancelled"):
                raise RuntimeError(f"job {job} was deleted and is there")
        time.sleep(max(0.0, began + 0.9 * seconds * (number + 1) / options.jobs - time.monotonic()))
    return sent


def left_behind(data: Path) -> list[str]:
    """Files of jobs, inputs and half-written files that are there although every job was deleted."""
    places = [path for name in ("jobs", "blobs", "incoming") for path in (data / name).rglob("*") if path.is_file()]
    return [str(path.relative_to(data)) for path in [*places, *data.rglob("*.part")]]


def soak(data: Path, options: Any) -> dict[str, Any]:
    server, seen, ends, seconds = Server(data, options.engine), Seen(), threading.Event(), options.minutes * 60
    admin = Person(server.port, (data / "token").read_text().strip())
    people = [Person(server.port, server.token_for(name)) for name in PEOPLE]
    threads = [threading.Thread(target=watch_memory, args=(server, admin, seen, ends))]
    threads.append(threading.Thread(target=trouble, args=(server, admin, seen, seconds, ends, options)))
    for number in range(options.readers):
        person = people[number % 2]
        if number % 6 == 0:
            threads.append(threading.Thread(target=listen, args=(person, seen, ends)))
        else:
            draw = random.Random(options.seed + 10 + number)
            threads.append(threading.Thread(target=read, args=(person, seen, ends, draw)))
    load, began = [os.getloadavg()[0]], time.monotonic()
    for thread in threads:
        thread.start()
    try:
        sent = work(people, seconds, options)
        load.append(os.getloadavg()[0])
        late = time.monotonic() + seconds / 2 + 120
        while time.monotonic() < late and waiting(people):
            time.sleep(1.0)
        took = time.monotonic() - began
        load.append(os.getloadavg()[0])
        listed = {job["id"]: job for person in people for job in person.jobs()}
        ends.set()
        for thread in threads:
            thread.join(30)
        for job, person in sent.items():
            person.surely("DELETE", f"/v1/jobs/{job}")
        time.sleep(2.0)
        left = left_behind(data)
    finally:
        ends.set()
        server.process.terminate()
        server.process.wait(60)
    return report(options, seen, sent, listed, left, took, load)


def waiting(people: list[Person]) -> bool:
    return any(job["state"] in ("queued", "running") for person in people for job in person.jobs())


def report(
    options: Any,
    seen: Seen,
    sent: dict[str, Any],
    listed: dict[str, Any],
    left: list[str],
    took: float,
    load: list[float],
) -> dict[str, Any]:
    lives = {}
    for (role, pid), points in seen.memory.items():
        rate = slope(points)
        lives[f"{role} {pid}"] = {
            "seconds": round(points[-1][0] - points[0][0]),
            "mb_first": round(points[0][1], 1),
            "mb_last": round(points[-1][1], 1),
            "mb_most": round(max(mb for _, mb in points), 1),
            "slope_mb_per_hour": None if rate is None else round(rate, 1),
        }
    failed = [f"{job}: {entry['problem']}" for job, entry in listed.items() if entry["state"] == "failed"]
    return {
        "minutes": round(took / 60, 1),
        "load_average": [round(value, 1) for value in load],
        "engine": options.engine,
        "jobs_sent": options.jobs,
        "states": dict(Counter(entry["state"] for entry in listed.values())),
        "failed": failed,
        "lost": sorted(set(sent) - set(listed)),
        "left_behind": left,
        "kills": dict(seen.kills),
        "readers": options.readers,
        "polls": len(seen.polls),
        "poll_ms": {
            "median": round(statistics.median(seen.polls) * 1000, 1),
            "p99": round(percentile(seen.polls, 0.99) * 1000, 1),
            "most": round(max(seen.polls) * 1000, 1),
        },
        "statuses": dict(seen.statuses),
        "unreachable_while_killed": seen.unreachable,
        "events": seen.events,
        "memory": lives,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--engine", choices=("walker", "demo"), default="walker")
    parser.add_argument("--readers", type=int, default=60)
    parser.add_argument("--worker-kills", type=int, default=6)
    parser.add_argument("--server-kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data-dir", type=Path, help="an empty folder to keep (default: one that is deleted)")
    options = parser.parse_args()
    if options.data_dir is not None:
        options.data_dir.mkdir(parents=True)
        result = soak(options.data_dir, options)
    else:
        with tempfile.TemporaryDirectory() as folder:
            result = soak(Path(folder), options)
    print(json.dumps(result, indent=1))
    bad = result["lost"] or result["left_behind"] or any(int(status) >= 500 for status in result["statuses"])
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()
