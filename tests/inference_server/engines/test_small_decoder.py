"""Drafts and previews are decoded by a tiny autoencoder where a weights tree has one, else by the full one."""

import shutil

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny

from inference_server.engines.magicanimate.engine import MagicAnimateEngine
from inference_server.engines.magicanimate.info import MagicAnimateSettings
from inference_server.engines.magicanimate.loader import read_config
from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline
from inference_server.engines.protocol import Base, Task
from inference_server.engines.trajectory import Trajectory
from inference_server.errors import UserError

STEPS = 2


def add_decoder(tree, latent_channels):
    levels = len(read_config(tree / "sd-vae-ft-mse")["block_out_channels"])
    torch.manual_seed(0)
    AutoencoderTiny(
        encoder_block_out_channels=(8,) * levels,
        decoder_block_out_channels=(8,) * levels,
        num_encoder_blocks=(1,) * levels,
        num_decoder_blocks=(1,) * levels,
        latent_channels=latent_channels,
    ).save_pretrained(tree / "taesd")


def load(tree):
    return MagicAnimateEngine(tree, MagicAnimatePipeline.from_folder(tree, device="cpu", dtype="fp32"))


@pytest.fixture(scope="module")
def tree(golden_weights, tmp_path_factory):
    """The golden weights and a tiny random decoder for their latents."""
    folder = tmp_path_factory.mktemp("with-taesd") / "tree"
    shutil.copytree(golden_weights, folder)
    add_decoder(folder, read_config(folder / "sd-vae-ft-mse").get("latent_channels", 4))
    return folder


@pytest.fixture(scope="module")
def engine(tree):
    return load(tree)


@pytest.fixture(scope="module")
def without(golden_weights):
    return load(golden_weights)


def run(engine, trajectory=None, base=None, decoder="small"):
    labels = np.zeros((4, 64, 64), np.uint8)
    labels[:, 16:48, 24:40] = 2
    settings = MagicAnimateSettings(steps=STEPS, decoder=decoder)
    task = Task(np.full((64, 64, 3), 90, np.uint8), {"densepose": labels}, settings, trajectory, base, previews=True)
    previews = []
    frames = dict(engine.animate(task, lambda progress: previews.append(progress.preview)))
    return frames, [preview for preview in previews if preview is not None]


def test_a_draft_is_decoded_by_it_and_the_recipe_says_so(engine, tree, tmp_path):
    frames, previews = run(engine, tmp_path / "t")
    tiny = AutoencoderTiny.from_pretrained(tree / "taesd")
    latents = Trajectory.of_base(tmp_path / "t", STEPS, None, {}).final()
    with torch.no_grad():
        decoded = (tiny.decode(latents).sample / 2 + 0.5).clamp(0, 1).mul(255).round().byte()
    expected = decoded.permute(0, 2, 3, 1).numpy()
    assert np.abs(np.stack(list(frames.values())).astype(int) - expected).max() <= 1
    assert np.abs(previews[-1].astype(int) - expected[2]).max() <= 1
    described = engine.describe()
    assert described["decoder"] == "taesd"
    assert any("taesd" in path for path in described["weights"])


def test_other_results_never_see_it(engine, without):
    frames, _ = run(engine, decoder="full")
    plain, _ = run(without, decoder="full")
    assert all(np.array_equal(frames[n], plain[n]) for n in plain)
    assert engine.describe()["decoder"] == "sd-vae-ft-mse"


def test_a_draft_without_it_has_the_full_decoder_and_says_so(without):
    draft, _ = run(without)
    assert without.describe()["decoder"] == "sd-vae-ft-mse"
    full, _ = run(without, decoder="full")
    assert all(np.array_equal(draft[n], full[n]) for n in full)


def test_frames_of_two_decoders_are_not_mixed(engine, without, tmp_path):
    run(without, tmp_path / "t")
    with pytest.raises(UserError, match="decoder changed") as caught:
        run(engine, base=Base(tmp_path / "t", frozenset({1})))
    assert caught.value.code == "base-unusable"


def test_a_decoder_of_other_latents_is_refused(golden_weights, tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(golden_weights, tree)
    add_decoder(tree, 7)
    with pytest.raises(UserError, match="other latents") as caught:
        load(tree)
    assert caught.value.code == "weights-mismatch"
