"""Full disks, damaged databases, kills and files that cannot be moved: nothing is lost, and there is a way out."""

import contextlib
import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from tests.inference_server.conftest import HERE, wait_until


def fill(disk: Path) -> Path:
    """Take the last byte."""
    hog = disk / "hog"
    with hog.open("wb", buffering=0) as file:
        for size in (65536, 4096, 512):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
    return hog


def test_a_result_can_be_deleted_on_a_full_disk(start_server, small_disk_of):
    disk = small_disk_of("4m")
    server = start_server("--disk-reserve", "0", data=disk / "data")
    jobs = [server.submit() for _ in range(3)]
    for job in jobs:
        server.wait_for(job, "done")
    wait_until(lambda: (disk / "data" / "reserve").exists())
    assert (disk / "data" / "reserve").stat().st_blocks * 512 >= 2**19, "it takes real bytes"
    fill(disk)
    for job in jobs:
        assert server.http.delete(f"/v1/jobs/{job}").status_code == 204
        assert not (disk / "data" / "jobs" / job).exists()
    assert server.http.get("/v1/jobs").json() == []
    server.stop()


def start_fails(data: Path) -> str:
    """What a server that cannot start says."""
    command = [sys.executable, str(HERE / "launch.py"), "serve", "none", "--port", "0", "--data-dir", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done
    return done.stderr


def test_a_start_on_a_full_disk_uses_the_reserve(start_server, small_disk_of):
    disk = small_disk_of("4m")
    server = start_server("--disk-reserve", "0", data=disk / "data")
    job = server.submit()
    server.wait_for(job, "done")
    wait_until(lambda: (disk / "data" / "reserve").exists())
    server.stop()
    fill(disk)
    server.start()
    assert server.http.delete(f"/v1/jobs/{job}").status_code == 204
    server.stop()


def test_a_start_on_a_disk_without_a_byte_ends_in_a_sentence(small_disk_of):
    disk = small_disk_of("4m")
    (disk / "data").mkdir()
    fill(disk)
    said = start_fails(disk / "data")
    assert "Traceback" not in said
    assert "error: " in said
    assert str(disk / "data") in said
    assert "No space left" in said or "is full" in said or "no space left" in said


DAMAGE = {
    "not a database": lambda content: b"not a database at all" * 300,
    "zeros in the middle": lambda content: content[:4096] + bytes(len(content) - 4096),
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_database_is_set_aside_and_the_list_made_anew(start_server, tmp_path, damage):
    server = start_server(data=tmp_path)
    jobs = [server.submit(name=f"shot {n}") for n in range(3)]
    for job in jobs:
        server.wait_for(job, "done")
    server.http.post(f"/v1/jobs/{jobs[1]}/pin", json={"pinned": True})
    server.http.patch("/v1/queue", json={"paused": True})
    waiting = server.submit(name="waiting")
    before = {job: server.job(job) for job in (*jobs, waiting)}
    server.stop()
    database = tmp_path / "jobs.sqlite3"
    content = DAMAGE[damage](database.read_bytes())
    database.write_bytes(content)
    server.start()
    listed = server.http.get("/v1/jobs").json()
    assert [job["id"] for job in listed] == [waiting, *jobs[::-1]]
    for job in jobs:
        found = server.job(job)
        for name in ("state", "body", "created_at", "pinned", "result"):
            assert found[name] == before[job][name], name
        assert server.http.get(f"/v1/jobs/{job}/frames/3.png").status_code == 200
    lost = server.job(waiting)
    assert (lost["state"], lost["problem"]["code"]) == ("failed", "store-rebuilt")
    assert lost["body"] == before[waiting]["body"]
    notice = server.http.get("/v1/server").json()["notices"][0]
    assert notice["code"] == "store-rebuilt"
    assert "4 jobs" in notice["detail"]
    kept = list(tmp_path.glob("jobs.damaged-*.sqlite3"))
    assert [path.read_bytes() for path in kept] == ([content] if content else [])
    server.http.post(f"/v1/jobs/{waiting}/retry")
    server.wait_for(waiting, "done")
    server.stop()
    server.start()
    assert server.http.get("/v1/server").json()["notices"] == []
    server.stop()


def test_results_of_0_1_0_are_listed_again_from_their_recipes(start_server, tmp_path):
    server = start_server(data=tmp_path)
    job = server.submit()
    server.wait_for(job, "done")
    body = server.job(job)["body"]
    server.stop()
    (tmp_path / "jobs" / job / "job.json").unlink()
    (tmp_path / "jobs" / str(uuid.uuid4())).mkdir()
    (tmp_path / "jobs.sqlite3").unlink()
    server.start()
    found = server.job(job)
    assert (found["state"], found["pinned"]) == ("done", True)
    assert {**found["body"], "settings": {}} == {**body, "settings": {}}
    assert found["body"]["settings"]["steps"] == 5
    assert "was left alone" in server.http.get("/v1/server").json()["notices"][0]["detail"]
    server.stop()


def test_a_cancel_is_remembered_when_everything_is_killed(start_server, tmp_path):
    server = start_server("--cancel-wait", "30", data=tmp_path)
    job = server.submit(settings={"fault": "hang"})
    server.wait_for_step(job, 2)
    worker = server.worker_pid
    assert server.http.delete(f"/v1/jobs/{job}").status_code == 202
    server.kill()
    os.kill(worker, signal.SIGKILL)
    server.start()
    assert server.wait_for(job)["state"] == "cancelled"
    assert len(server.runs(job)) == 1
    server.http.post(f"/v1/jobs/{job}/retry")
    server.wait_for_step(job, 2)
    assert server.job(job)["state"] == "running", "a retried job is not cancelled again"
    server.kill()


def test_a_result_is_on_the_disk_before_it_is_called_complete(start_server, tmp_path, fault_library):
    synced = tmp_path / "synced"
    server = start_server(data=tmp_path / "data", env={"LD_PRELOAD": str(fault_library), "SYNCED": str(synced)})
    job = server.submit()
    server.wait_for(job, "done")
    place = server.data / "jobs" / job
    lines = [line for line in synced.read_text().splitlines() if job in line]
    last = next(n for n, line in enumerate(lines) if ".result.json." in line)
    before = set(lines[:last])
    wanted = [*(place / "frames").iterdir(), place / "frames", place / "video.mp4", place / "recipe.json"]
    assert len(wanted) == 4 + 3
    assert {str(path) for path in wanted} <= before
    assert lines[last + 1] == str(place), "the name of result.json itself"
    server.stop()


def test_a_result_whose_file_is_open_elsewhere_is_not_lost_track_of(start_server, tmp_path, fault_library):
    """Windows lets nobody move a folder in which a file is open, nor delete that file."""
    faults = tmp_path / "faults"
    server = start_server(data=tmp_path / "data", env={"LD_PRELOAD": str(fault_library), "FAULTS": str(faults)})
    job = server.submit()
    server.wait_for(job, "done")
    faults.write_text(f"rename {errno.EACCES} jobs/{job}\n")
    answer = server.http.delete(f"/v1/jobs/{job}")
    assert (answer.status_code, answer.json()["code"]) == (409, "result-in-use")
    assert "permission denied" in answer.json()["detail"]
    assert server.job(job)["state"] == "done"
    assert server.http.get(f"/v1/jobs/{job}/frames/0.png").status_code == 200
    faults.write_text(f"unlink {errno.EACCES} 000002.png\n")
    assert server.http.delete(f"/v1/jobs/{job}").status_code == 204
    assert len(list(server.data.glob("incoming/deleted-*/frames/000002.png"))) == 1
    faults.unlink()
    server.wait_for(server.submit(), "done")
    wait_until(lambda: not list(server.data.glob("incoming/deleted-*")), 20)  # the next clean-up
    server.stop()


def test_half_written_files_of_a_killed_worker_go_when_the_job_ends(start_server, tmp_path):
    server = start_server(data=tmp_path)
    job = server.submit(settings={"fault": "kill-once", "step_seconds": 0.2})
    server.wait_for_step(job, 1)
    frames = tmp_path / "jobs" / job / "frames"
    (frames / ".000001.png.abc.part").write_bytes(b"half")
    (tmp_path / "jobs" / job / "draft.mp4").write_bytes(b"half")
    server.wait_for(job, "done")
    names = [path.name for path in (tmp_path / "jobs" / job).rglob("*")]
    assert not [name for name in names if name.endswith(".part") or name == "draft.mp4"]
    server.stop()


def test_the_data_folder_is_private_whoever_made_it(start_server, tmp_path):
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    server = start_server(data=data)
    assert data.stat().st_mode & 0o777 == 0o700
    server.stop()


def test_a_stopped_worker_delays_no_cancel(start_server, tmp_path):
    """An idle worker that does not read its pipe (64 kB) and a job of 1,500 frames, whose command has 100 kB."""
    server = start_server("--cancel-wait", "1", data=tmp_path)
    server.wait_for(server.submit(), "done")
    worker = server.worker_pid
    os.kill(worker, signal.SIGSTOP)
    body = server.body(frames=2, size=16)
    body["tracks"]["densepose"] = body["tracks"]["densepose"] * 750
    job = str(uuid.uuid4())
    assert len(json.dumps(body)) > 65536
    assert server.http.put(f"/v1/jobs/{job}", json=body).status_code == 201
    wait_until(lambda: server.job(job)["state"] == "running")
    began = time.monotonic()
    assert server.http.delete(f"/v1/jobs/{job}").status_code == 202
    server.wait_for(job, "cancelled", seconds=20)
    assert time.monotonic() - began < 10
    server.wait_for(server.submit(), "done")
    server.stop()


def test_a_stopped_worker_ends_by_the_step_limit(start_server, tmp_path):
    server = start_server("--step-limit", "15", data=tmp_path)
    server.wait_for(server.submit(), "done")
    os.kill(server.worker_pid, signal.SIGSTOP)
    body = server.body(frames=2, size=16)
    body["tracks"]["densepose"] = body["tracks"]["densepose"] * 750
    job = str(uuid.uuid4())
    server.http.put(f"/v1/jobs/{job}", json=body)
    done = server.wait_for(job, "done", seconds=90)
    assert "gave no sign" in done["notes"][0]
    server.stop()


def rows(data: Path) -> int:
    with closing(sqlite3.connect(data / "jobs.sqlite3")) as db:
        return int(db.execute("SELECT count(*) FROM bodies").fetchone()[0])


def test_a_deleted_job_leaves_no_row(start_server, tmp_path):
    server = start_server(data=tmp_path)
    job = server.submit()
    server.wait_for(job, "done")
    assert rows(tmp_path) == 1
    server.http.delete(f"/v1/jobs/{job}")
    assert rows(tmp_path) == 0
    server.stop()
