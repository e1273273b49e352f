"""The worker with MagicAnimate itself, on the tiny weights of the golden vectors."""

import json
import uuid

import numpy as np
import pytest
import torch

from inference_server.engines.trajectory import Trajectory

SETTINGS = {"steps": 6, "context_frames": 8, "context_overlap": 2}
TOLERANCE = 2e-3


@pytest.fixture(scope="module")
def magic(start_server, golden_tree):
    return start_server(tree=golden_tree)


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


def test_a_clip_that_was_cut_or_lengthened_is_built_upon(magic, undisturbed):
    body = magic.job(undisturbed)["body"]
    maps = body["tracks"]["densepose"]

    def run(clip: list[str]) -> dict:
        job = str(uuid.uuid4())
        changed = {**body, "tracks": {"densepose": clip}, "base_job": undisturbed}
        assert magic.http.put(f"/v1/jobs/{job}", json=changed).status_code == 201
        return magic.wait_for(job, "done", seconds=120)

    cut = run(maps[2:])
    assert (cut["notes"], cut["result"]["frames"], cut["result"]["computed_frames"]) == ([], 8, 0)
    longer = run([*maps, maps[0]])
    assert longer["notes"] == []
    assert 1 <= longer["result"]["computed_frames"] <= 4
    first = magic.http.get(f"/v1/jobs/{undisturbed}/frames/2.png").content
    assert magic.http.get(f"/v1/jobs/{cut['id']}/frames/0.png").content == first


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
