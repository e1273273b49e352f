"""A clip of a thousand frames: they come one by one, and the worker's memory does not grow with them."""

import shutil
import sys
from pathlib import Path

import pytest

FEW, MANY = 64, 1000
SETTINGS = {"steps": 2, "context_frames": 8, "context_overlap": 2}
ROOM = 64 * 2**20
"""Bytes that the worker may grow by: allocators keep some. All that it must not hold at once is more: the clip's
features in one of the networks' widest layers alone, 64 channels of 64 x 64 in float32 for 1,000 frames, are 1 GB."""


def peak_bytes(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="another process's peak is read from /proc")
def test_a_thousand_frames_come_one_by_one_in_the_memory_of_a_few(start_server, golden_weights, tmp_path):
    tree = tmp_path / "golden"
    shutil.copytree(golden_weights, tree)
    server = start_server(tree=tree)

    def submit(frames: int) -> str:
        return server.submit(engine="magicanimate", weights="demo", frames=frames, settings=SETTINGS)

    server.wait_for(submit(FEW), "done", seconds=300)
    before = peak_bytes(server.worker_pid)
    job = submit(MANY)
    server.wait_for_frame(job, seconds=600)
    assert server.http.get(f"/v1/jobs/{job}/frames/0.png").status_code == 200
    assert server.job(job)["state"] == "running"
    server.wait_for(job, "done", seconds=600)
    assert server.http.get(f"/v1/jobs/{job}/frames/{MANY - 1}.png").status_code == 200
    assert peak_bytes(server.worker_pid) - before < ROOM
