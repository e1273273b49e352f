"""The contract of docs/api.md as a client sees it: jobs, queue, results."""

import io
import json
import tarfile
import time
import uuid

import numpy as np
import pytest

from inference_server.media.images import read_image
from inference_server.media.video import read_frames


@pytest.fixture(scope="module")
def done(server) -> str:
    job = server.submit(frames=5, name="Scene")
    server.wait_for(job, "done")
    return job


def test_server_info_says_what_the_contract_says(server, done):
    info = server.http.get("/v1/server").json()
    assert set(info) == {"name", "version", "api", "pid", "uptime_s", "device", "worker", "queue", "limits"} | {
        "admin",
        "notices",
    }
    assert info["api"] == 1
    assert info["pid"] == server.process.pid
    assert info["worker"]["state"] in ("idle", "busy")
    assert set(info["device"]) == {"kind", "name", "memory_total", "memory_free"}
    assert info["queue"] == {"paused": False, "queued": 0, "running": 0}
    assert set(info["limits"]) == {"upload_bytes", "pixels", "frames"}


def test_engines_declare_tracks_settings_and_weights(server):
    engines = {engine["id"]: engine for engine in server.http.get("/v1/engines").json()}
    magicanimate = engines["magicanimate"]
    assert [track["name"] for track in magicanimate["tracks"]] == ["densepose"]
    steps = magicanimate["settings_schema"]["properties"]["steps"]
    assert (steps["default"], steps["minimum"]) == (25, 1)
    assert {weights["id"]: weights["state"] for weights in magicanimate["weight_sets"]}["magicanimate"] == "missing"


def test_a_job_gives_frames_video_preview_and_recipe(server, done):
    job = server.job(done)
    assert job["result"] == {
        **{"frames": 5, "width": 64, "height": 64, "fps": 24.0, "computed_frames": 5, "demo_weights": True},
        "seconds": job["result"]["seconds"],
    }
    assert job["progress"]["fraction"] == 1
    assert job["progress"]["frames_done"] == 5
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]
    frames = [server.http.get(f"/v1/jobs/{done}/frames/{n}.png") for n in range(5)]
    assert [frame.headers["content-type"] for frame in frames] == ["image/png"] * 5
    pictures = np.stack([read_image(frame.content) for frame in frames])
    assert pictures.shape == (5, 64, 64, 3)
    (server.data / "video.mp4").write_bytes(server.http.get(f"/v1/jobs/{done}/video.mp4").content)
    clip = read_frames(server.data / "video.mp4")
    assert clip.fps == 24
    assert np.abs(clip.frames.astype(int) - pictures).mean() < 6
    assert read_image(server.http.get(f"/v1/jobs/{done}/preview.png").content).ndim == 3
    recipe = server.http.get(f"/v1/jobs/{done}/recipe.json").json()
    assert recipe["settings"]["steps"] == 5
    assert recipe["reference"] == job["body"]["reference"]


def test_a_range_of_frames_comes_as_one_tar(server, done):
    def names(query: str) -> list[str]:
        answer = server.http.get(f"/v1/jobs/{done}/frames{query}")
        return tarfile.open(fileobj=io.BytesIO(answer.content)).getnames()

    assert names("") == [f"{n:06d}.png" for n in range(5)]
    assert names("?start=1&stop=3") == ["000001.png", "000002.png"]
    assert names("?start=7") == []


def test_the_video_can_be_fetched_in_parts(server, done):
    whole = server.http.get(f"/v1/jobs/{done}/video.mp4")
    part = server.http.get(
        f"/v1/jobs/{done}/video.mp4", headers={"Range": "bytes=100-", "If-Range": whole.headers["etag"]}
    )
    assert part.status_code == 206
    assert part.content == whole.content[100:]


def test_the_same_body_again_is_the_same_job(server, done):
    body = server.job(done)["body"]
    again = server.http.put(f"/v1/jobs/{done}", json=body)
    assert again.status_code == 200
    assert again.json()["result"] == server.job(done)["result"]
    other = server.http.put(f"/v1/jobs/{done}", json={**body, "fps": 12})
    assert other.status_code == 409
    assert other.json()["code"] == "job-exists"


def test_what_is_not_there_is_404(server, done):
    for path, code in [
        (f"/v1/jobs/{uuid.uuid4()}", "no-such-job"),
        (f"/v1/jobs/{done}/frames/5.png", "frame-not-ready"),
        (f"/v1/jobs/{uuid.uuid4()}/video.mp4", "no-such-job"),
        ("/v1/nothing", "not-found"),
    ]:
        answer = server.http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, code)
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json()) == {"type", "title", "status", "detail", "code", "fix"}
    assert server.http.head(f"/v1/blobs/{'0' * 64}").status_code == 404


def test_deleting_an_ended_job_takes_its_files(server):
    job = server.submit(frames=1)
    server.wait_for(job, "done")
    assert server.http.delete(f"/v1/jobs/{job}").status_code == 204
    assert server.http.get(f"/v1/jobs/{job}").status_code == 404
    assert not (server.data / "jobs" / job).exists()


def test_cancel_takes_effect_within_a_step(server):
    job = server.submit(settings={"steps": 200, "step_seconds": 0.05})
    server.wait_for_step(job, 2)
    assert server.http.delete(f"/v1/jobs/{job}").status_code == 202
    cancelled_at = server.job(job)["progress"]["step"]
    server.wait_for(job, "cancelled")
    steps = [int(path.stem) for path in (server.data / "jobs" / job / "trajectory").glob("[0-9]*.npy")]
    assert max(steps) <= cancelled_at + 2
    retried = server.http.post(f"/v1/jobs/{job}/retry").json()
    assert retried["state"] in ("queued", "running")
    server.wait_for_step(job, max(steps))
    server.http.delete(f"/v1/jobs/{job}")
    server.wait_for(job, "cancelled")


def test_pause_order_and_resume(server):
    assert server.http.patch("/v1/queue", json={"paused": True}).json()["paused"] is True
    jobs = [server.submit(frames=1, name=str(n)) for n in range(4)]
    assert [server.job(job)["position"] for job in jobs] == [0, 1, 2, 3]
    server.http.patch("/v1/queue", json={"order": [jobs[3], jobs[1], str(uuid.uuid4())]})
    assert [server.job(job)["position"] for job in jobs] == [2, 1, 3, 0]
    assert server.http.delete(f"/v1/jobs/{jobs[0]}").status_code == 202
    assert server.job(jobs[0])["state"] == "cancelled"
    assert server.http.patch("/v1/queue", json={"paused": False}).json()["paused"] is False
    ended = [server.wait_for(jobs[n], "done") for n in (3, 1, 2)]
    assert [job["started_at"] for job in ended] == sorted(job["started_at"] for job in ended)


def test_pin(server, done):
    assert server.http.post(f"/v1/jobs/{done}/pin", json={"pinned": True}).json()["pinned"] is True
    assert server.http.post(f"/v1/jobs/{done}/pin", json={"pinned": False}).json()["pinned"] is False


def test_newest_first(server, done):
    newer = server.submit(frames=1)
    listed = [job["id"] for job in server.http.get("/v1/jobs").json()]
    assert listed.index(newer) < listed.index(done)
    assert len(server.http.get("/v1/jobs", params={"limit": 1}).json()) == 1


def test_unload_frees_the_worker(server, done):
    server.wait_for(server.submit(frames=1), "done")
    assert server.worker_pid is not None
    server.http.post("/v1/server/unload")
    until = time.monotonic() + 10
    while server.worker_pid is not None and time.monotonic() < until:
        time.sleep(0.05)
    assert server.http.get("/v1/server").json()["worker"] == {"state": "stopped", "pid": None}
    server.wait_for(server.submit(frames=1), "done")


def test_the_description_is_the_one_checked_in(server):
    """docs/openapi.json: python -m inference_server.api.openapi > docs/openapi.json"""
    from pathlib import Path

    checked_in = json.loads(Path("docs/openapi.json").read_text())
    assert server.http.get("/v1/openapi.json").json() == checked_in
