"""The add-on's job and the real server with the demo weights: one drawn clip, a killed server, a changed key."""

import dataclasses
import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from magicanimate_blender.animation import Animation, Animations, JobSpec, State
from magicanimate_blender.client import ClientError, sha256
from magicanimate_blender.raster.png import encode_labels, encode_rgb
from magicanimate_blender.server_manager import Installation, LocalServer, RemoteServer
from tests.magicanimate_blender.animation.helpers import ended, wait

pytest.importorskip("fastapi", reason="the server's packages are not installed")
pytest.importorskip("torch", reason="the server's packages are not installed")

FRAMES, SIZE = 6, 64


def part_map(frame: int) -> bytes:
    """A bar of body parts that moves right."""
    labels = np.zeros((SIZE, SIZE), np.uint8)
    labels[8:56, 4 * frame : 4 * frame + 16] = 1 + frame
    return encode_labels(labels)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory):
    """The server of this checkout, in an environment that the user looks after."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        folder = tmp_path_factory.mktemp("server")
        server = LocalServer(Installation(folder, None, python=Path(sys.executable)))
        yield server
        server.stop()


def draw(job: Animation, changed: int | None = None) -> None:
    for frame in job.missing_maps():
        job.add_map(frame, part_map(20 if frame == changed else frame))


def test_animate_through_a_killed_server_then_regenerate_one_key(local, tmp_path):
    animations = Animations(tmp_path, local)
    reference = encode_rgb(np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8))
    settings = {"steps": 4, "seed": 1, "context_frames": 4, "context_overlap": 1}
    spec = JobSpec("magicanimate", "demo", sha256(reference), FRAMES, SIZE, SIZE, 24.0, settings, consent=True)
    job = animations.start(spec, reference)
    draw(job)
    wait(job, lambda now: now.state is State.RUNNING and now.step >= 1 and now.title == "Animating", 60)
    client = local.attach()
    assert client is not None
    os.kill(client.server().pid, signal.SIGKILL)
    assert wait(job, lambda now: now.state is State.STARTING, 10).message
    now = wait(job, ended, 90)
    assert (now.state, now.frames_fetched) == (State.DONE, FRAMES), now
    assert job.record.demo_weights
    assert job.record.computed_frames == FRAMES

    redone = dataclasses.replace(spec, base=job.id, redo=(0,), settings={**settings, "redo_seed": 7})
    again = animations.start(redone, reference)
    draw(again, changed=4)
    now = wait(again, ended, 60)
    assert (now.state, now.plan) == (State.DONE, "5 of 6 frames will be computed"), now
    assert again.record.computed_frames == 5
    same = [again.folder.frame(n).read_bytes() == job.folder.frame(n).read_bytes() for n in range(FRAMES)]
    assert same[2]
    assert not same[0]
    assert not same[4]

    moved = animations.start(dataclasses.replace(spec, base=again.id), reference)  # one frame earlier, and one more
    for frame, drawn in enumerate((1, 2, 3, 20, 5, 9)):
        moved.add_map(frame, part_map(drawn))
    now = wait(moved, ended, 60)
    assert (now.state, now.plan, now.notes) == (State.DONE, "2 of 6 frames will be computed", ()), now
    assert moved.record.computed_frames == 2
    assert moved.folder.frame(0).read_bytes() == again.folder.frame(1).read_bytes()
    animations.close()


def test_a_wrong_token_and_a_missing_consent_are_told_in_the_servers_words(local, tmp_path):
    client = local.connect(lambda sentence: None, threading.Event())
    with pytest.raises(ClientError) as caught:
        RemoteServer(client.url, "x" * 32).connect(lambda sentence: None, threading.Event())
    assert caught.value.code == "wrong-token"
    animations = Animations(tmp_path, local)
    reference = encode_rgb(np.zeros((SIZE, SIZE, 3), np.uint8))
    spec = JobSpec("magicanimate", "demo", sha256(reference), 2, SIZE, SIZE, 24.0, {}, consent=False)
    job = animations.start(spec, reference)
    draw(job)
    now = wait(job, ended, 30)
    assert (now.state, now.code) == (State.FAILED, "consent-required")
    assert now.fix
    animations.close()


def test_stopping_leaves_no_process(local):
    client = local.connect(lambda sentence: None, threading.Event())
    pid = client.server().pid
    assert local.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
