"""The worker with MagicAnimate itself, on the tiny weights of the golden vectors."""

import json
import os
import shutil
import time
import uuid

import numpy as np
import pytest
import torch

from inference_server.engines.trajectory import Trajectory
from inference_server.weights.manifest import Manifest, hash_file

SETTINGS = {"steps": 6, "context_frames": 8, "context_overlap": 2}
TOLERANCE = 2e-3


@pytest.fixture(scope="module")
def magic(start_server, golden_weights, tmp_path_factory):
    tree = tmp_path_factory.mktemp("weights") / "golden"
    shutil.copytree(golden_weights, tree)
    return start_server(tree=tree)


def submit(magic, **changes) -> str:
    return magic.submit(engine="magicanimate", weights="demo", **{"frames": 10, "settings": SETTINGS, **changes})


def final_latents(magic, job: str) -> np.ndarray:
    folder = magic.data / "jobs" / job / "trajectory"
    record = json.loads((folder / "run.json").read_text())
    assert record["done"] == SETTINGS["steps"]
    return np.load(folder / record["latest"])


@pytest.fixture(scope="module")
def undisturbed(magic) -> str:
    job = submit(magic)
    done = magic.wait_for(job, "done", seconds=120)
    assert done["result"]["demo_weights"] is True
    return job


def test_a_killed_worker_changes_nothing(magic, undisturbed):
    job = submit(magic)
    magic.wait_for_step(job, 2)
    magic.kill_worker()
    magic.wait_for(job, "done", seconds=120)
    assert np.abs(final_latents(magic, job) - final_latents(magic, undisturbed)).max() <= TOLERANCE


def test_a_long_step_is_heard_and_can_be_cancelled(start_server, magic):
    """One step of forty windows; a worker that only listened between steps would be killed for not stopping."""
    server = start_server("--cancel-wait", "5", tree=magic.tree)
    job = submit(server, frames=240, settings={**SETTINGS, "steps": 1})
    until, seen = time.monotonic() + 120, set()
    while len(seen) < 4:
        assert time.monotonic() < until
        progress = server.job(job)["progress"]
        if progress["stage"] == "denoising":
            assert progress["step"] == 0, "the step is over"
            seen.add(progress["fraction"])
    worker = server.worker_pid
    server.http.delete(f"/v1/jobs/{job}")
    server.wait_for(job, "cancelled")
    assert server.worker_pid == worker


@pytest.mark.slow
def test_five_kills_change_nothing(magic, undisturbed):
    job = submit(magic)
    for step in (1, 2, 3, 4, 5):
        magic.wait_for_step(job, step)
        magic.kill_worker()
    magic.wait_for(job, "done", seconds=240)
    assert np.abs(final_latents(magic, job) - final_latents(magic, undisturbed)).max() <= TOLERANCE


@pytest.mark.slow
def test_a_server_killed_twice_changes_nothing(magic, undisturbed):
    job = submit(magic)
    for step in (2, 4):
        magic.wait_for_step(job, step)
        magic.kill()
        magic.start()
    magic.wait_for(job, "done", seconds=240)
    assert np.abs(final_latents(magic, job) - final_latents(magic, undisturbed)).max() <= TOLERANCE


def test_only_what_changed_is_computed_anew(magic, undisturbed):
    body = magic.job(undisturbed)["body"]
    maps = body["tracks"]["densepose"]
    other = str(uuid.uuid4())
    changed = {**body, "tracks": {"densepose": [*maps[:9], maps[0]]}, "base_job": undisturbed}
    assert magic.http.put(f"/v1/jobs/{other}", json=changed).status_code == 201
    done = magic.wait_for(other, "done", seconds=120)
    assert done["notes"] == []
    assert 1 <= done["result"]["computed_frames"] < 10
    first = magic.http.get(f"/v1/jobs/{undisturbed}/frames/0.png").content
    assert magic.http.get(f"/v1/jobs/{other}/frames/0.png").content == first
    recipe = magic.http.get(f"/v1/jobs/{other}/recipe.json").json()
    assert recipe["base"]["job"] == undisturbed
    assert "unet" in " ".join(recipe["run"]["weights"])


def run_again(magic, base: dict, clip: list[str], **changes) -> dict:
    """The job `base` once more, with the maps `clip`, built upon it."""
    again = str(uuid.uuid4())
    body = {**base["body"], "tracks": {"densepose": clip}, "base_job": base["id"], **changes}
    assert magic.http.put(f"/v1/jobs/{again}", json=body).status_code == 201
    return magic.wait_for(again, "done", seconds=120)


def test_a_clip_that_was_cut_or_lengthened_is_built_upon(magic, undisturbed):
    base = magic.job(undisturbed)
    maps = base["body"]["tracks"]["densepose"]
    cut = run_again(magic, base, maps[2:])
    assert (cut["notes"], cut["result"]["frames"], cut["result"]["computed_frames"]) == ([], 8, 0)
    longer = run_again(magic, base, [*maps, maps[0]])
    assert longer["notes"] == []
    assert 1 <= longer["result"]["computed_frames"] <= 4
    first = magic.http.get(f"/v1/jobs/{undisturbed}/frames/2.png").content
    assert magic.http.get(f"/v1/jobs/{cut['id']}/frames/0.png").content == first
    upon_the_cut = run_again(magic, cut, [*maps[2:9], maps[0]])
    assert (upon_the_cut["notes"], upon_the_cut["result"]["computed_frames"]) == ([], 3)


@pytest.fixture
def without_unet(magic):
    """A worker that has loaded nothing yet and can't: a file went bad on the disk, unseen by its size and time."""
    (path,) = (magic.tree / "stable-diffusion-v1-5" / "unet").glob("*.safetensors")
    whole, times = path.read_bytes(), path.stat()
    Manifest(magic.tree).record(path, hash_file(path))
    path.write_bytes(bytes(len(whole)))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    magic.http.post("/v1/server/unload")
    while magic.worker_pid is not None:
        time.sleep(0.05)
    yield
    path.write_bytes(whole)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    (magic.tree / "manifest.json").unlink()


def test_what_computes_nothing_loads_no_weights(magic, undisturbed, without_unet):
    base = magic.job(undisturbed)
    maps = base["body"]["tracks"]["densepose"]
    unchanged, trimmed = run_again(magic, base, maps), run_again(magic, base, maps[3:])
    again = run_again(magic, trimmed, maps[3:8])
    jobs = (unchanged, trimmed, again)
    assert [(job["notes"], job["result"]["computed_frames"]) for job in jobs] == [([], 0)] * 3
    recipe = magic.http.get(f"/v1/jobs/{again['id']}/recipe.json").json()
    assert "unet" in " ".join(recipe["run"]["weights"]), "the pixels are still those of the first run"
    changed = str(uuid.uuid4())
    body = {**base["body"], "tracks": {"densepose": [*maps[:9], maps[0]]}, "base_job": undisturbed}
    magic.http.put(f"/v1/jobs/{changed}", json=body)
    assert magic.wait_for(changed, "failed", seconds=120)["problem"]["code"] == "weights-unreadable"


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("deleted", "the earlier result no longer exists"),
        ("cut short", "The earlier result cannot be built upon: its kept steps are incomplete"),
        ("damaged", "The earlier result cannot be built upon: its steps were not kept, or are damaged"),
        ("settings", "the settings differ from those of the earlier result"),
    ],
)
def test_a_base_of_no_use_means_a_full_run_with_one_line_that_says_why(magic, undisturbed, fault, why):
    first = magic.job(undisturbed)
    maps = first["body"]["tracks"]["densepose"]
    base = run_again(magic, first, maps)
    assert base["result"]["computed_frames"] == 0
    steps, settings = magic.data / "jobs" / base["id"] / "trajectory", dict(SETTINGS)
    if fault == "deleted":
        assert magic.http.delete(f"/v1/jobs/{base['id']}").status_code == 204
    elif fault == "cut short":
        with (steps / "history.f16").open("r+b") as file:
            file.truncate(1000)
    elif fault == "damaged":
        (steps / "run.json").write_text("{")
    else:
        settings["steps"] += 1
    done = run_again(magic, base, [*maps[:9], maps[0]], settings=settings)
    assert (done["result"]["computed_frames"], done["notes"]) == (10, [f"Computed in full: {why}."])


def test_a_step_that_was_cut_short_is_done_again(tmp_path, monkeypatch):
    trajectory = Trajectory(tmp_path, steps=4, shape=(2, 4, 3, 3), facts={"seed": 1})
    _, latents = trajectory.start(torch.zeros(2, 4, 3, 3))
    trajectory.save(1, latents + 1)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(json, "dumps", killed)  # the last thing that a step does
    with pytest.raises(KeyboardInterrupt):
        trajectory.save(2, latents + 2)
    monkeypatch.undo()
    done, kept = Trajectory(tmp_path, steps=4, shape=(2, 4, 3, 3), facts={"seed": 1}).start(latents)
    assert (done, float(kept.max())) == (1, 1.0)
