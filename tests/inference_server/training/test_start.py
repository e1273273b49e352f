"""Starting values: untrained networks already pass their input through."""

import numpy as np
import pytest
import torch

from inference_server.training.characters import HELD_OUT_STREAM, make_clips
from inference_server.training.diffusion import (
    FROM_NOISE,
    MAX_WEIGHT,
    add_noise,
    scheduler,
    stratified_timesteps,
    timestep_weight,
)
from inference_server.training.networks import Denoiser, remove_motion
from inference_server.training.vae_stage import new_autoencoder, permute_colours, to_tensor


def test_an_untrained_autoencoder_passes_colour_through():
    torch.manual_seed(0)
    vae = new_autoencoder(64)
    pictures = to_tensor(make_clips(HELD_OUT_STREAM, 0, size=64, frames=1)[0].frames)
    flat = pictures.mean((2, 3), keepdim=True).expand_as(pictures)
    palettes = torch.stack([flat[0], flat[0].roll(1, 0), flat[0].roll(2, 0)])
    with torch.no_grad():
        out = vae.decode(vae.encode(palettes).latent_dist.mean).sample.mean((2, 3))
    assert out.std(0).min() > 0.02, "pictures of three colours come out in three colours"


def test_an_untrained_denoiser_answers_its_input():
    denoiser = Denoiser.fresh(seed=0)
    remove_motion(denoiser.unet)
    noisy = torch.randn(2, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        noise, _ = denoiser(
            noisy, torch.tensor([900, 900]), torch.zeros(2, 3, 64, 64), torch.zeros(0, 8, 8, 8), frames=1, coupled=False
        )
    assert torch.corrcoef(torch.stack([noise.flatten(), noisy.flatten()]))[0, 1] > 0.85


def test_motion_modules_pass_everything_through_at_first():
    denoiser = Denoiser.fresh(seed=0)
    inputs = torch.randn(4, 8, 8, 8), torch.tensor([500]), torch.rand(4, 3, 64, 64), torch.randn(1, 8, 8, 8)
    with torch.no_grad():
        with_motion, _ = denoiser(*inputs, frames=4, coupled=True)
        remove_motion(denoiser.unet)
        without, _ = denoiser(*inputs, frames=4, coupled=True)
    torch.testing.assert_close(with_motion, without)


def test_weights_follow_the_noise():
    alphas = scheduler().alphas_cumprod
    weights = timestep_weight(alphas, torch.tensor([1, 250, 500, 960]))
    assert torch.all(weights.diff() > 0)
    assert weights[-1] == MAX_WEIGHT


def test_the_target_leads_from_the_input_to_the_picture():
    alphas = scheduler().alphas_cumprod
    timesteps = torch.tensor([0, 500, FROM_NOISE - 1, FROM_NOISE, 999])
    alpha = alphas[timesteps]
    latents, noise = torch.randn(2, 5, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    noisy, target = add_noise(latents, noise, alpha, timesteps)
    signal, sigma = (v.sqrt()[:, None, None, None] for v in (alpha, 1 - alpha))
    torch.testing.assert_close((noisy - sigma * target) / signal, latents, atol=2e-3, rtol=0)
    torch.testing.assert_close(target[:3], noise[:3], atol=1e-3, rtol=0)
    assert torch.equal(noisy[3:], noise[3:])


def test_timesteps_cover_the_schedule_evenly():
    drawn = stratified_timesteps(10, torch.Generator().manual_seed(3))
    assert sorted(t // 100 for t in drawn.tolist()) == list(range(10))


def test_colour_exchange_keeps_the_picture():
    clip = make_clips(HELD_OUT_STREAM, 1, size=64, frames=1)[0]
    swapped = permute_colours(clip.frames, np.random.default_rng(1))
    np.testing.assert_array_equal(np.sort(swapped, axis=-1), np.sort(clip.frames, axis=-1))


@pytest.mark.parametrize("cells", [1, 4, 8])
def test_pictures_become_tensors_in_minus_one_to_one(cells):
    pictures = np.array([0, 255], np.uint8).repeat(cells * cells * 3).reshape(2, cells, cells, 3)
    tensor = to_tensor(pictures)
    assert tensor.shape == (2, 3, cells, cells)
    assert tensor.min() == -1
    assert tensor.max() == 1
