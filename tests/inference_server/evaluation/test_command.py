"""`python -m inference_server evaluate FOLDER`, on real files."""

import json

import numpy as np
import pytest
import torch

from inference_server.cli import main
from inference_server.evaluation.clips import read_clips, write_clip
from inference_server.evaluation.examination import window_borders
from inference_server.evaluation.report import contact_sheet
from inference_server.media.video import write_mp4


@pytest.fixture
def folder(tmp_path, perfect_clips):
    for clip in perfect_clips:
        write_clip(tmp_path / clip.name, clip)
    return tmp_path


def test_clips_come_back_as_they_were_written(folder, perfect_clips):
    for read, written in zip(read_clips(folder), perfect_clips, strict=True):
        for name in ("reference", "reference_parts", "parts", "truth", "output", "borders"):
            np.testing.assert_array_equal(getattr(read, name), getattr(written, name))


def test_scores_and_page(folder, capsys):
    assert main(["evaluate", str(folder)]) == 0
    summary = json.loads((folder / "scores.json").read_text())["summary"]
    assert summary["output"]["mean"] == summary["truth"]["mean"]
    assert summary["copy of the reference"]["mean"]["person_psnr"] < summary["part-mean painter"]["mean"]["person_psnr"]
    page = (folder / "report.html").read_text()
    assert page.count("<img") == 1 + 3, "the bars and a sheet per clip"
    assert "person_0" in page
    assert "pose_agreement" in capsys.readouterr().out


def test_a_shorter_larger_video_is_fitted(folder, perfect_clips):
    clip = perfect_clips[0]
    place = folder / clip.name
    for path in (place / "output").iterdir():
        path.unlink()
    (place / "output").rmdir()
    write_mp4(place / "output.mp4", clip.output[:4].repeat(2, axis=1).repeat(2, axis=2), 8)
    read = read_clips(folder)[0]
    assert read.output.shape == read.truth.shape == (4, 64, 64, 3)
    assert np.abs(read.output.astype(int) - clip.truth[:4]).mean() < 6


def test_own_metric_networks_are_used(folder, tmp_path):
    class Distance(torch.nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return (a - b).abs().mean(dim=(1, 2, 3))

    class Features(torch.nn.Module):
        def forward(self, clip: torch.Tensor) -> torch.Tensor:
            return clip.mean(dim=(2, 3, 4))

    weights = tmp_path / "networks"
    weights.mkdir()
    torch.jit.script(Distance()).save(weights / "lpips.pt")
    torch.jit.script(Features()).save(weights / "fvd.pt")
    assert main(["evaluate", str(folder), "--metric-weights", str(weights)]) == 0
    summary = json.loads((folder / "scores.json").read_text())["summary"]
    assert summary["output"]["mean"]["lpips"] == 0
    assert summary["output"]["distribution"]["fvd"] == pytest.approx(0, abs=1e-6)
    assert summary["one mean colour"]["distribution"]["fvd"] > 0


@pytest.mark.parametrize(("missing", "word"), [("truth", "truth"), ("maps", "maps"), ("output", "output")])
def test_what_is_missing_is_named(folder, missing, word, capsys):
    (folder / "person_1" / missing).rename(folder / "elsewhere")
    assert main(["evaluate", str(folder)]) == 2
    assert f"person_1 has no {word}" in capsys.readouterr().err


def test_an_empty_folder_is_explained(tmp_path, capsys):
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "reference.png" in capsys.readouterr().err


def test_borders_of_windows():
    assert window_borders(16, 16, 4) == ()
    assert window_borders(48, 16, 0) == (16, 32)
    assert window_borders(28, 16, 4) == (12, 16)


def test_a_contact_sheet_has_three_rows(perfect_clips):
    assert contact_sheet(perfect_clips[0], frames=2).shape == (3 * 64, 3 * 64, 3)
