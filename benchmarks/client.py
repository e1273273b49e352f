"""What the add-on's job costs Blender and the wire: `python -m benchmarks.client` prints JSON (milliseconds).

A real server gets 250 different part maps of 512 x 512; nothing is computed.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from magicanimate_blender.animation import Animations, JobSpec, State
from magicanimate_blender.animation.matching import match_frames
from magicanimate_blender.client import sha256
from magicanimate_blender.raster.png import encode_labels, encode_rgb
from magicanimate_blender.server_manager import Installation, LocalServer

FRAMES, SIZE, CALLS = 250, 512, 200


def part_maps() -> list[bytes]:
    draw = np.random.default_rng(0)
    maps = []
    for _ in range(FRAMES):
        labels = np.zeros((SIZE, SIZE), np.uint8)
        for part in range(1, 25):
            x, y = draw.integers(0, SIZE - 72, 2)
            labels[y : y + 70, x : x + 40] = part
        maps.append(encode_labels(labels))
    return maps


def milliseconds(call: object, *arguments: object) -> float:
    start = time.perf_counter()
    call(*arguments)  # type: ignore[operator]
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    maps, reference = part_maps(), encode_rgb(np.zeros((SIZE, SIZE, 3), np.uint8))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = LocalServer(Installation(Path(folder) / "server", None, python=Path(sys.executable)))
        begin = time.perf_counter()
        client = server.connect(lambda sentence: None, threading.Event())
        started = (time.perf_counter() - begin) * 1e3
        animations = Animations(Path(folder) / "results", server)
        spec = JobSpec("magicanimate", "demo", sha256(reference), FRAMES, SIZE, SIZE, 24.0, {"steps": 1}, consent=True)
        job = animations.start(spec, reference)
        adds = [milliseconds(job.add_map, n, maps[n]) for n in range(FRAMES)]
        polls, uploading = [], 0.0
        while (now := job.poll()).state in (State.DRAWING, State.STARTING, State.UPLOADING):
            if now.state is State.UPLOADING and not uploading:
                uploading = time.perf_counter()
            polls.append(milliseconds(job.poll))
            time.sleep(0.002)
        accepted = (time.perf_counter() - uploading) * 1e3
        job.cancel()
        while not job.poll().state.ended:
            time.sleep(0.01)
        answers = [milliseconds(client.server) for _ in range(CALLS)]
        animations.close()
        server.stop()
    base = [str(n // 7 % 5) for n in range(1000)]
    result = {
        "python": platform.python_version(),
        "server_start": round(started),
        "maps_sent_and_accepted": round(accepted),
        "add_map_max": round(max(adds), 3),
        "poll_max": round(max(polls), 3),
        "server_info_median": round(statistics.median(answers), 2),
        "match_1000_frames": round(statistics.median(milliseconds(match_frames, base, base[5:]) for _ in range(5)), 1),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
