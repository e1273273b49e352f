"""What a file says about itself, and what the recipe says about a result."""

import json
import stat
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from inference_server.engines.magicanimate.info import MagicAnimateSettings
from inference_server.media.images import png_bytes, read_image
from inference_server.media.video import read_frames, write_mp4
from inference_server.provenance import identity as identity_module
from inference_server.provenance.credentials import AI_GENERATED, Credentials, read_credentials
from inference_server.provenance.identity import local_identity
from inference_server.provenance.recipe import make_recipe, sha256_of, write_recipe

REFERENCE = "ab" * 32


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.fixture
def credentials(tmp_path) -> Credentials:
    identity = local_identity(tmp_path / "identity")
    return Credentials(identity, engine="magicanimate", weights="demo", reference=REFERENCE, title="Walk")


def check(manifest) -> None:
    assert manifest["validation_state"] == "Valid"
    assert {problem["code"] for problem in manifest["problems"]} == {"signingCredential.untrusted"}
    assert manifest["claim_generator_info"][0]["name"] == "MagicAnimate for Blender"
    data = {assertion["label"]: assertion["data"] for assertion in manifest["assertions"]}
    actions = data["c2pa.actions.v2"]["actions"]
    assert [(action["action"], action["digitalSourceType"]) for action in actions] == [("c2pa.created", AI_GENERATED)]
    assert data["org.magicanimate-blender.recipe"]["reference_sha256"] == REFERENCE


def test_a_png_carries_credentials_and_the_same_pixels(credentials, image, tmp_path):
    signed = credentials.sign_png(png_bytes(image))
    assert np.array_equal(read_image(signed), image)
    (tmp_path / "a.png").write_bytes(signed)
    check(read_credentials(tmp_path / "a.png"))


def test_an_mp4_carries_credentials_and_the_same_frames(credentials, image, tmp_path):
    path = tmp_path / "a.mp4"
    write_mp4(path, [image] * 3, 24)
    before = read_frames(path).frames
    credentials.sign_mp4(path)
    check(read_credentials(path))
    assert np.array_equal(read_frames(path).frames, before)


def test_a_changed_file_is_found_out(credentials, image, tmp_path):
    path = tmp_path / "a.mp4"
    write_mp4(path, [image] * 3, 24)
    credentials.sign_mp4(path)
    data = bytearray(path.read_bytes())
    data[data.index(b"mdat") + 900] ^= 1
    path.write_bytes(data)
    assert read_credentials(path)["validation_state"] == "Invalid"


def test_a_file_without_credentials_says_so(image, tmp_path):
    (tmp_path / "a.png").write_bytes(png_bytes(image))
    assert read_credentials(tmp_path / "a.png") is None


def test_the_identity_is_made_once_kept_private_and_renewed(tmp_path, monkeypatch):
    first = local_identity(tmp_path)
    assert local_identity(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    monkeypatch.setattr(identity_module, "RENEW_BEFORE", timedelta(days=4000))
    assert local_identity(tmp_path) != first
    (tmp_path / "chain.pem").write_text("rubbish")
    monkeypatch.undo()
    assert local_identity(tmp_path).chain.startswith(b"-----BEGIN CERTIFICATE")


def test_a_recipe_holds_what_is_needed_to_come_again(tmp_path):
    recipe = make_recipe(
        engine="magicanimate",
        weights="demo",
        settings=MagicAnimateSettings(steps=7),
        reference=REFERENCE,
        tracks={"densepose": ["cd" * 32]},
        frames=1,
        size=(512, 256),
        fps=24.0,
        description={"device": "cpu", "weights": {"unet": "ef" * 32}},
        inputs={"fit": "crop"},
    )
    write_recipe(tmp_path / "recipe.json", recipe)
    read = json.loads((tmp_path / "recipe.json").read_text())
    assert read == recipe
    assert MagicAnimateSettings(**read["settings"]) == MagicAnimateSettings(steps=7)
    assert (read["width"], read["height"]) == (512, 256)
    assert {"torch", "diffusers", "inference_server", "python"} <= set(read["versions"])
    assert abs(datetime.fromisoformat(read["created_at"]) - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_hash_of_a_file_is_that_of_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == sha256_of(b"abc")
    assert sha256_of(b"abc").startswith("ba7816bf")
