"""Each metric answers the question that it is named after."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_server.evaluation import metrics, person
from inference_server.evaluation.baselines import copy_of_reference, mean_colour, part_mean_painter
from inference_server.evaluation.learned import LearnedMetrics, frechet_distance
from inference_server.evaluation.score import score_clip, summarise


def test_psnr_is_taken_in_float():
    dark, light = np.zeros((1, 8, 8, 3), np.uint8), np.full((1, 8, 8, 3), 255, np.uint8)
    assert metrics.psnr(dark, light) == pytest.approx(0.0)
    assert metrics.psnr(light - 1, light) == pytest.approx(20 * np.log10(255))  # uint8 arithmetic would agree here
    assert metrics.psnr(light, light - 1) == pytest.approx(20 * np.log10(255))  # ... and wrap around here


def test_psnr_of_the_person_ignores_the_wall(perfect_clips):
    clip = perfect_clips[0]
    painted = np.where((clip.parts > 0)[..., None], clip.truth, 255 - clip.truth).astype(np.uint8)
    assert metrics.psnr(painted, clip.truth, clip.parts > 0) == 100
    assert metrics.psnr(painted, clip.truth) < 20


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 255), st.integers(0, 255))
def test_l1_of_flat_pictures_is_their_difference(a, b):
    one, two = (np.full((1, 4, 4, 3), v, np.uint8) for v in (a, b))
    assert metrics.l1(one, two) == pytest.approx(abs(a - b) / 255)


def test_ssim_falls_with_noise(perfect_clips, noisy):
    truth = perfect_clips[0].truth
    assert metrics.ssim(truth, truth) == pytest.approx(1)
    assert metrics.ssim(noisy, truth) < 0.8


def test_a_person_elsewhere_does_not_agree_with_the_map(perfect_clips):
    clip = perfect_clips[0]
    own = person.pose_agreement(clip.truth, clip.parts)
    moved = person.pose_agreement(np.roll(clip.truth, 12, axis=2), clip.parts)
    empty = person.pose_agreement(np.full_like(clip.truth, 90), clip.parts)
    assert own > 0.8
    assert moved < own - 0.3
    assert empty == 0


def test_colour_errors_name_the_region(perfect_clips):
    clip = perfect_clips[0]
    torso = np.isin(clip.parts, person.REGIONS["torso"])
    recoloured = clip.truth.copy()
    recoloured[torso] = np.clip(recoloured[torso].astype(int) + 50, 0, 255)
    errors = person.colour_errors(recoloured, clip.truth, clip.parts)
    assert errors["torso"] > 0.05
    assert errors["head"] == errors["wall"] == 0


def test_flicker_counts_changes_that_the_truth_does_not_have(perfect_clips, noisy):
    clip = perfect_clips[0]
    assert person.flicker(clip.truth, clip.truth) == pytest.approx(1)
    assert person.flicker(noisy, clip.truth) > 1.5
    assert person.flicker(np.broadcast_to(clip.truth[:1], clip.truth.shape), clip.truth) == 0
    assert person.wall_flicker(clip.truth, clip.parts) < person.wall_flicker(noisy, clip.parts)


def test_a_jump_at_a_window_border_is_a_seam(perfect_clips):
    clip = perfect_clips[0]
    rng = np.random.default_rng(1)
    output = np.clip(clip.truth + rng.normal(0, 2, clip.truth.shape), 0, 255)
    output[3:] = np.clip(output[3:] * 0.8, 0, 255)
    output = output.astype(np.uint8)
    assert person.seam(output, clip.truth, [3]) > 2
    assert person.seam(output, clip.truth, [2]) < 1
    assert np.isnan(person.seam(output, clip.truth, []))


def test_identity_knows_people_apart(perfect_clips):
    own = [person.region_colours(c.truth, c.parts) for c in perfect_clips]
    references = [person.region_colours(c.reference[None], c.reference_parts[None]) for c in perfect_clips]
    assert person.identity(own, references) == 1
    assert person.identity(own[1:] + own[:1], references) < 0.5


def test_frechet_distance_of_gaussians():
    rng = np.random.default_rng(2)
    a, b = rng.normal(0, 1, (4000, 3)), rng.normal((3, 0, 0), 2, (4000, 3))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(a, b) == pytest.approx(9 + 3 * (1 + 4 - 2 * 2), rel=0.1)


def test_baselines_are_ranked_as_they_must_be(perfect_clips):
    scores = {
        draw.__name__: np.mean([metrics.psnr(draw(c), c.truth, c.parts > 0) for c in perfect_clips])
        for draw in (copy_of_reference, mean_colour, part_mean_painter)
    }
    assert scores["part_mean_painter"] > scores["copy_of_reference"] + 2
    assert part_mean_painter(replace(perfect_clips[0], reference_parts=None)) is None


def test_the_truth_scores_perfectly(perfect_clips):
    summary = summarise(perfect_clips)
    assert summary.mean["psnr"] == 100
    assert summary.mean["colour_error"] == 0
    assert summary.mean["flicker"] == pytest.approx(1)
    assert summary.identity == 1
    assert "lpips" not in summary.mean


def test_a_single_frame_has_no_flicker_and_json_no_nan(perfect_clips):
    clip = perfect_clips[0]
    still = replace(clip, truth=clip.truth[:1], output=clip.output[:1], parts=clip.parts[:1])
    assert np.isnan(score_clip(still, LearnedMetrics(None)).flicker)
    assert summarise([still]).to_json()["mean"]["flicker"] is None
