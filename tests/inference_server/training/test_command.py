"""`train` from the command line, on real files: the demo weights from nothing, and fine-tuning on own clips."""

import numpy as np
import pytest
import torch

from inference_server.cli import main
from inference_server.engines.magicanimate.loader import load_networks
from inference_server.evaluation.clips import EvaluationClip, write_clip
from inference_server.media.video import write_mp4
from inference_server.training.characters import TRAINING_STREAM, make_clips
from inference_server.training.export import write_checkpoint
from inference_server.training.networks import Denoiser
from inference_server.training.vae_stage import new_autoencoder


@pytest.fixture
def own_clips(tmp_path):
    """Two clips as an artist has them: a video and its maps, one of the maps as PNGs."""
    folder = tmp_path / "mine"
    (folder / "videos").mkdir(parents=True)
    for number in range(2):
        clip = make_clips(TRAINING_STREAM, number, size=64, frames=3)[0]
        write_mp4(folder / "videos" / f"take_{number}.mp4", clip.frames, 8)
        parts = EvaluationClip("", clip.references[0], None, clip.parts, clip.frames, clip.frames)
        write_clip(folder / "work", parts)
        (folder / "maps").mkdir(exist_ok=True)
        (folder / "work" / "maps").rename(folder / "maps" / f"take_{number}")
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "weights"
    vae = new_autoencoder(64)
    vae.register_to_config(scaling_factor=0.7)
    write_checkpoint(folder, Denoiser.fresh(seed=0), vae, 64)
    return folder


def test_fine_tuning_changes_what_it_may_and_nothing_else(own_clips, weights, tmp_path, capsys):
    out = tmp_path / "run"
    command = ["train", "finetune", str(own_clips), "--weights", str(weights), "--out", str(out), "--frames", "2"]
    assert main([*command, "--steps", "2", "--learning-rate", "1e-3", "--device", "cpu"]) == 0
    before, after = (load_networks(folder, torch.float32) for folder in (weights, out / "checkpoint"))

    def changed(name):
        pairs = zip(getattr(before, name).parameters(), getattr(after, name).parameters(), strict=True)
        return any(not torch.equal(a, b) for a, b in pairs)

    assert changed("unet")
    assert changed("appearance")
    assert changed("controlnet")
    assert not changed("vae")
    assert not changed("text_encoder")
    assert (out / "finetune_losses.png").exists()
    assert "step 2" in capsys.readouterr().out


def test_a_video_without_maps_is_named(own_clips, weights, tmp_path, capsys):
    write_mp4(own_clips / "videos" / "lonely.mp4", np.zeros((2, 64, 64, 3), np.uint8), 8)
    assert main(["train", "finetune", str(own_clips), "--weights", str(weights), "--out", str(tmp_path / "run")]) == 2
    assert "lonely.mp4 has no part maps" in capsys.readouterr().err


def test_an_empty_folder_is_explained(weights, tmp_path, capsys):
    (tmp_path / "nothing").mkdir()
    command = [
        "train",
        "finetune",
        str(tmp_path / "nothing"),
        "--weights",
        str(weights),
        "--out",
        str(tmp_path / "run"),
    ]
    assert main(command) == 2
    assert "videos" in capsys.readouterr().err


@pytest.mark.slow
def test_the_demo_weights_are_made_by_one_command(tmp_path, capsys):
    out = tmp_path / "demo"
    assert main(["train", "demo", "--out", str(out), "--size", "64", "--steps", "1", "--device", "cpu"]) == 0
    load_networks(out / "checkpoint", torch.float32)
    for stage in ("vae", "images", "motion"):
        assert (out / f"{stage}_000001.png").exists()
        assert (out / f"{stage}_losses.png").exists()
    assert main(["train", "demo", "--out", str(out), "--size", "64", "--steps", "1", "--resume"]) == 0
