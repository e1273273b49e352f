"""Whatever is killed, no job is lost, none is run twice to its end, and the result is the one it would have been."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

STEPS = {"steps": 24, "step_seconds": 0.03}
FP16 = 2e-3
"""Trajectories are kept in fp16, so a resumed run may differ by as much."""


@pytest.fixture(scope="module")
def undisturbed(server) -> np.ndarray:
    job = server.submit(settings={**STEPS, "step_seconds": 0.0})
    server.wait_for(job, "done")
    return server.final_latents(job)


def test_the_worker_is_killed_at_five_steps(server, undisturbed):
    job = server.submit(settings=STEPS)
    for step in sorted(random.Random(4).sample(range(1, 22), 5)):
        server.wait_for_step(job, step)
        server.kill_worker()
    done = server.wait_for(job, "done")
    assert np.abs(server.final_latents(job) - undisturbed).max() <= FP16
    assert len(set(server.runs(job))) == 6
    assert len([note for note in done["notes"] if "SIGKILL" in note]) == 5
    assert server.http.get(f"/v1/jobs/{job}/frames/3.png").status_code == 200


def test_the_server_is_killed_twice_and_both_together(start_server, undisturbed):
    server = start_server()
    job, waiting = server.submit(settings=STEPS), server.submit(settings={"steps": 1})
    for step, also_the_worker in ((3, False), (9, False), (15, True)):
        server.wait_for_step(job, step)
        worker = server.worker_pid
        server.kill()
        if also_the_worker:
            kill_if_there(worker)
        server.start()
        assert server.job(job)["state"] in ("queued", "running")
        assert server.job(waiting)["state"] == "queued"
    first, second = server.wait_for(job, "done"), server.wait_for(waiting, "done")
    assert np.abs(server.final_latents(job) - undisturbed).max() <= FP16
    assert first["finished_at"] <= second["started_at"]
    assert len(server.runs(job)) == 4
    assert len(server.runs(waiting)) == 1


def kill_if_there(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it noticed that its server was gone
        os.kill(pid, signal.SIGKILL)


def test_a_complete_job_is_not_run_again_when_only_the_last_word_was_lost(start_server):
    server = start_server()
    job = server.submit()
    server.wait_for(job, "done")
    server.kill()
    code = f"import sqlite3; db = sqlite3.connect({str(server.data / 'jobs.sqlite3')!r}); " + (
        "db.execute(\"UPDATE jobs SET state='running', result=NULL, finished_at=NULL\"); db.commit()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    server.start()
    assert server.wait_for(job, "done")["result"]["frames"] == 4
    assert len(server.runs(job)) == 1


def test_a_graceful_stop_keeps_the_job_for_the_next_start(start_server, undisturbed):
    server = start_server()
    job = server.submit(settings=STEPS)
    server.wait_for_step(job, 4)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 8
    assert not (server.data / "server.json").exists()
    server.start()
    server.wait_for(job, "done")
    assert np.abs(server.final_latents(job) - undisturbed).max() <= FP16
    job = server.submit(settings=STEPS)
    server.wait_for_step(job, 2)
    assert server.http.post("/v1/server/shutdown").status_code == 202
    assert server.process.wait(20) == 0


def test_two_deaths_at_one_step_fail_the_job_with_the_reason(server):
    job = server.submit(settings={"fault": "kill-always"})
    problem = server.wait_for(job, "failed")["problem"]
    assert problem["code"] == "worker-died"
    assert "SIGKILL" in problem["detail"]
    assert problem["fix"]
    job = server.submit(settings={"fault": "segfault"})
    problem = server.wait_for(job, "failed")["problem"]
    assert "SIGSEGV" in problem["detail"]
    assert "Segmentation fault" in problem["detail"]
    server.wait_for(server.submit(), "done")


def test_one_death_is_mended(server):
    job = server.submit(settings={"fault": "kill-once"})
    assert "started again" in server.wait_for(job, "done")["notes"][0]


def test_out_of_memory_is_tried_once_more_with_less_and_said(server):
    job = server.submit(settings={"fault": "oom"})
    done = server.wait_for(job, "done")
    assert "smaller-memory" in done["notes"][0]
    recipe = server.http.get(f"/v1/jobs/{job}/recipe.json").json()
    assert recipe["run"]["low_memory"] is True
    job = server.submit(settings={"fault": "oom-always"})
    assert server.wait_for(job, "failed")["problem"]["code"] == "out-of-memory"


def test_numbers_that_overflow_are_computed_in_fp32_and_said(start_server):
    server = start_server()
    for _ in range(2):  # the second knows it beforehand
        job = server.submit(settings={"fault": "overflow"})
        assert "overflow" in server.wait_for(job, "done")["notes"][0]
        assert server.http.get(f"/v1/jobs/{job}/recipe.json").json()["run"]["dtype"] == "fp32"
    assert len(server.runs(job)) == 1
    server = start_server("--dtype", "fp32")
    server.wait_for(server.submit(settings={"fault": "overflow"}), "done")


def test_an_engine_that_raises_fails_its_job_only(server):
    job = server.submit(settings={"fault": "error"})
    problem = server.wait_for(job, "failed")["problem"]
    assert (problem["code"], "singular" in problem["detail"]) == ("engine-failed", True)
    server.wait_for(server.submit(), "done")


def test_a_broken_device_context_ends_with_its_process(server):
    job = server.submit(settings={"fault": "broken-context"})
    done = server.wait_for(job, "done")
    assert "illegal memory access" in done["notes"][0]
    assert len(set(server.runs(job))) == 2
    next_job = server.submit()
    assert server.wait_for(next_job, "done")["notes"] == []


def test_after_an_unexpected_error_the_next_job_has_another_process(server):
    job = server.submit(settings={"fault": "error"})
    following = server.submit()
    server.wait_for(job, "failed")
    assert server.wait_for(following, "done")["notes"] == []
    assert not set(server.runs(job)) & set(server.runs(following))


def test_deaths_at_ever_other_places_come_to_an_end(server):
    job = server.submit(settings={"fault": "kill-everywhere", "steps": 40})
    problem = server.wait_for(job, "failed", seconds=90)["problem"]
    assert problem["code"] == "worker-died"
    assert "10 times" in problem["detail"]
    assert len(server.runs(job)) == 10


def test_a_full_device_is_known_by_what_its_libraries_say(server):
    job = server.submit(settings={"fault": "cublas"})
    assert "smaller-memory" in server.wait_for(job, "done")["notes"][0]


def test_a_device_that_is_full_when_weights_are_loaded(start_server):
    server = start_server(env={"WALKER_LOAD_FAULT": "oom"})
    first, second = (server.wait_for(server.submit(), "done") for _ in range(2))
    assert "smaller-memory" in first["notes"][0]
    assert "memory was full with these weights before" in second["notes"][0]
    assert server.runs(second["id"]) == server.runs(first["id"]), "one try was enough to learn it"


def test_what_does_not_answer_is_killed(start_server):
    server = start_server("--cancel-wait", "0.3", "--step-limit", "8", "--idle-unload", "0.5")
    job = server.submit(settings={"fault": "hang"})
    server.wait_for_step(job, 2)
    began = time.monotonic()
    server.http.delete(f"/v1/jobs/{job}")
    server.wait_for(job, "cancelled")
    assert time.monotonic() - began < 5
    hung = server.submit(settings={"fault": "hang"})
    problem = server.wait_for(hung, "failed")["problem"]
    assert "gave no sign" in problem["detail"]
    server.wait_for(server.submit(), "done")
    until = time.monotonic() + 10
    while server.worker_pid is not None:  # it has nothing to do
        assert time.monotonic() < until
        time.sleep(0.05)


def test_two_hundred_jobs_at_once(server):
    began = {line for job in server.http.get("/v1/jobs").json() for line in [job["id"]]}
    body = server.body(frames=1, size=16, settings={"steps": 1})
    jobs = [str(uuid.uuid4()) for _ in range(200)]
    for job in jobs:
        assert server.http.put(f"/v1/jobs/{job}", json=body).status_code == 201
    listed = [job["id"] for job in server.http.get("/v1/jobs").json() if job["id"] not in began]
    assert listed == jobs[::-1]
    server.wait_for(jobs[-1], "done", seconds=60)
    states = {job["id"]: job for job in server.http.get("/v1/jobs").json()}
    assert all(states[job]["state"] == "done" for job in jobs)
    started = [states[job]["started_at"] for job in jobs]
    assert started == sorted(started)


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 24 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_fails_the_job_and_not_the_server(start_server, small_disk):
    server = start_server("--disk-reserve", "4", data=small_disk / "data")
    job = server.submit(settings={"fault": "disk"})
    problem = server.wait_for(job, "failed")["problem"]
    assert problem["code"] == "disk-full"
    assert str(small_disk) in problem["detail"]
    refused = server.http.put(f"/v1/blobs/{'0' * 64}", content=b"x")
    assert (refused.status_code, refused.json()["code"]) == (507, "disk-full")
    (server.data / "jobs" / job / "trajectory" / "filler").unlink()
    server.wait_for(server.submit(), "done")


def test_a_full_disk_below_the_server_is_survived(start_server, small_disk):
    """Another program takes the last byte, reserve and all."""
    server = start_server("--disk-reserve", "0", data=small_disk / "data")
    body = server.body(settings={"steps": 30, "step_seconds": 0.02})
    job = str(uuid.uuid4())
    server.http.put(f"/v1/jobs/{job}", json=body)
    server.wait_for_step(job, 2)
    hog = small_disk / "hog"
    with hog.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    assert server.wait_for(job, "failed")["problem"]["code"] == "disk-full"
    answer = server.http.put(f"/v1/jobs/{uuid.uuid4()}", json=body)
    assert answer.status_code in (201, 507), answer.text
    assert server.http.get("/v1/server").status_code == 200
    hog.unlink()
    assert server.wait_for(job, "failed")["problem"]["code"] == "disk-full"
    server.http.post(f"/v1/jobs/{job}/retry")
    server.wait_for(job, "done")
