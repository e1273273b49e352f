"""Noise that frames have in common."""

import pytest
import torch

from inference_server.sampling.noise import starting_noise

SHAPE = (4, 32, 32)


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.75, 1.0])
def test_frames_have_the_asked_share_in_common_and_unit_variance(shared):
    noise = starting_noise(3, 16, SHAPE, shared=shared)
    assert abs(float(noise.var()) - 1) < 0.05
    correlation = torch.corrcoef(noise.flatten(1))
    off_diagonal = correlation[~torch.eye(16, dtype=torch.bool)]
    assert abs(float(off_diagonal.mean()) - shared) < 0.03


@pytest.mark.parametrize("seed", [0, 3, 2**40 + 3])
def test_what_is_shared_is_no_frames_own_noise_again(seed):
    own = starting_noise(seed, 16, SHAPE).flatten(0, 1).flatten(1)
    common = starting_noise(seed, 1, SHAPE, shared=1.0)[0].flatten(1)
    correlation = torch.corrcoef(torch.cat([common, own]))[: len(common), len(common) :]
    assert float(correlation.abs().max()) < 0.2


def test_without_sharing_it_is_the_published_noise():
    assert torch.equal(starting_noise(3, 20, SHAPE, shared=0.0), starting_noise(3, 20, SHAPE))


def test_first_frames_do_not_depend_on_the_length():
    assert torch.equal(starting_noise(3, 40, SHAPE, shared=0.6)[:10], starting_noise(3, 10, SHAPE, shared=0.6))
