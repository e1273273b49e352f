"""Weights that are replaced while the server runs: frames and latents of two networks never meet."""

import shutil
import uuid

import pytest
from safetensors.torch import load_file, save_file

SETTINGS = {"steps": 2, "context_frames": 8, "context_overlap": 2}
UNET = "stable-diffusion-v1-5/unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def magic(start_server, golden_weights, tmp_path_factory):
    return start_server(tree=shutil.copytree(golden_weights, tmp_path_factory.mktemp("weights") / "golden"))


def tweak(magic, job: dict) -> dict:
    """The job once more, with another map at its first frame."""
    maps = list(job["body"]["tracks"]["densepose"])
    body = {**job["body"], "tracks": {"densepose": [maps[1], *maps[1:]]}, "base_job": job["id"]}
    number = str(uuid.uuid4())
    assert magic.http.put(f"/v1/jobs/{number}", json=body).status_code == 201
    return magic.wait_for(number, "done", seconds=240)


def picture(magic, job: dict, frame: int) -> bytes:
    return magic.http.get(f"/v1/jobs/{job['id']}/frames/{frame}.png").content


def test_a_tweak_after_an_upgrade_is_computed_in_full_by_the_new_network(magic):
    first = magic.submit(engine="magicanimate", weights="demo", frames=14, settings=SETTINGS)
    first = magic.wait_for(first, "done", seconds=240)
    same = tweak(magic, first)
    assert same["result"]["computed_frames"] < 14
    assert picture(magic, same, 13) == picture(magic, first, 13)

    weights = {key: tensor * 0.5 for key, tensor in load_file(magic.tree / UNET).items()}
    save_file(weights, magic.tree / UNET)
    other = tweak(magic, first)
    assert other["result"]["computed_frames"] == 14
    assert any("weights were replaced" in note for note in other["notes"])
    assert picture(magic, other, 13) != picture(magic, first, 13), "the worker has loaded the new ones, too"
    again = tweak(magic, other)
    assert again["result"]["computed_frames"] < 14
    recipes = [magic.http.get(f"/v1/jobs/{job['id']}/recipe.json").json()["run"] for job in (first, other, again)]
    hashes = [recipe["weights_hash"] for recipe in recipes]
    assert hashes[0] != hashes[1] == hashes[2]
