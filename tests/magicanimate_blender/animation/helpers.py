"""A scripted server as a source, and a pump like Blender's timer."""

import threading
import time
from collections.abc import Callable

from magicanimate_blender.animation import Animation, Animations, JobSpec, Snapshot, State
from magicanimate_blender.client import Client, sha256
from tests.magicanimate_blender.client.fake_server import TOKEN, FakeServer, png

REFERENCE = b"\x89PNG\r\n\x1a\n picture"


class FakeSource:
    """Connects to the scripted server, wherever it is now."""

    def __init__(self, fake: FakeServer) -> None:
        self.fake = fake
        self.token = TOKEN
        self.connects = 0

    def connect(self, say: Callable[[str], None], stop: threading.Event) -> Client:
        self.connects += 1
        say("Looking")
        client = Client(self.fake.url, self.token, timeout=2.0)
        client.server()
        return client


def make_spec(frames: int = 3, **changes: object) -> JobSpec:
    values = {
        "engine": "magicanimate", "weights": "demo", "reference": sha256(REFERENCE), "frames": frames, "width": 64,
        "height": 64, "fps": 24.0, "settings": {"steps": 2, "seed": 1}, "consent": True, "name": "walk",
    }  # fmt: skip
    return JobSpec(**{**values, **changes})  # type: ignore[arg-type]


def start(animations: Animations, frames: int = 3, *, draw: bool = True, **changes: object) -> Animation:
    job = animations.start(make_spec(frames, **changes), REFERENCE)
    if draw:
        for frame in job.missing_maps():
            job.add_map(frame, png(value=100 + frame))
    return job


def wait(job: Animation, until: Callable[[Snapshot], bool], seconds: float = 20.0) -> Snapshot:
    """Pump as Blender's timer does."""
    end = time.monotonic() + seconds
    while not until(now := job.poll()):
        assert time.monotonic() < end, now
        time.sleep(0.005)
    return now


def ended(now: Snapshot) -> bool:
    return now.state.ended


def in_state(state: State) -> Callable[[Snapshot], bool]:
    return lambda now: now.state is state
