"""A killed run goes on as if nothing had happened; a finished one is a checkpoint that the server loads."""

import json

import numpy as np
import pytest
import torch

from inference_server.cli import main
from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline
from inference_server.training import denoiser_stage
from inference_server.training.budget import Budget, cosine_after
from inference_server.training.denoiser_stage import DenoiserLoss
from inference_server.training.export import as_pipeline_parts, write_checkpoint
from inference_server.training.networks import Denoiser
from inference_server.training.pool import ClipPool
from inference_server.training.stage import Stage
from inference_server.training.vae_stage import new_autoencoder

SIZE = 64


class Killed(Exception):
    """Stands for a power cut."""


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    pool = ClipPool(tmp_path_factory.mktemp("pool"), SIZE, motions=2)
    for _ in pool.fill():
        pass
    return pool


def train(folder, pool, *, kill_at=None):
    """Three steps, saved after each; the state is all in `folder`."""
    torch.manual_seed(4)
    vae = new_autoencoder(SIZE).eval().requires_grad_(False)
    denoiser = Denoiser.fresh(seed=5)
    stage = Stage(
        "motion", folder, denoiser, Budget(3), learning_rate=lambda p, s: 1e-3 * cosine_after(0.5, p, s, warm_up=2)
    )
    stage.resume()
    loss = DenoiserLoss(denoiser, vae, torch.float32, coupled=True, reading_weight=0.1)

    def interrupted(batch):
        if stage.step == kill_at:
            raise Killed
        return loss(batch)

    def batches(start):
        return denoiser_stage.batches(pool, start, shapes=((1, 1),), consecutive=True, stream=1)

    stage.train(batches, interrupted, every=1, report=lambda _stage: None)
    return stage


def curve(folder):
    lines = [json.loads(line) for line in (folder / "motion.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines]


def test_a_killed_run_resumes_to_the_same_loss_curve(tmp_path, pool):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    expected = train(whole, pool)
    with pytest.raises(Killed):
        train(cut, pool, kill_at=2)
    assert [step for step, _ in curve(cut)] == [1, 2]
    resumed = train(cut, pool)
    assert [step for step, _ in curve(cut)] == [1, 2, 3]
    np.testing.assert_allclose([v for _, v in curve(cut)], [v for _, v in curve(whole)], rtol=1e-6)
    for a, b in zip(resumed.average.modules.parameters(), expected.average.modules.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_the_export_is_a_checkpoint_that_draws_the_same_pictures(tmp_path, pool):
    vae = new_autoencoder(SIZE).eval().requires_grad_(False)
    vae.register_to_config(scaling_factor=0.7)
    denoiser = Denoiser.fresh(seed=6)
    write_checkpoint(tmp_path / "checkpoint", denoiser, vae, SIZE)
    loaded = MagicAnimatePipeline.from_folder(tmp_path / "checkpoint", device="cpu", dtype="fp32")
    held = as_pipeline_parts(denoiser, vae, tmp_path / "tokenizer")
    direct = MagicAnimatePipeline(held, torch.device("cpu"))
    clip = pool[0]
    pictures = [p(clip.references[0], clip.parts[:2], steps=2) for p in (loaded, direct)]
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 4  # half precision on disk
    assert loaded.networks.vae.config.scaling_factor == 0.7


def test_a_run_is_not_overwritten(tmp_path, capsys):
    (tmp_path / "clips").mkdir()
    assert main(["train", "demo", "--out", str(tmp_path)]) == 2
    assert "--resume" in capsys.readouterr().err


def test_sizes_that_no_latent_fits_are_refused(tmp_path, capsys):
    assert main(["train", "demo", "--out", str(tmp_path / "new"), "--size", "100"]) == 2
    assert "multiple of 64" in capsys.readouterr().err
