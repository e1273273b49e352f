"""Supervised reference reading: regions of cells, and a loss that falls when attention goes to the right region."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from inference_server.training.characters import HELD_OUT_STREAM, make_clips
from inference_server.training.denoiser_stage import hints_of
from inference_server.training.networks import Denoiser, remove_motion
from inference_server.training.reading import REGIONS, coarser, reading_loss, recorded_queries, region_shares

PARTS = arrays(np.uint8, (2, 32, 32), elements=st.integers(0, 24))


@settings(max_examples=20, deadline=None)
@given(PARTS)
def test_every_cell_is_shared_out_among_regions(parts):
    shares = region_shares(torch.from_numpy(parts), 4)
    assert shares.shape == (2, 16, REGIONS)
    torch.testing.assert_close(shares.sum(-1), torch.ones(2, 16))
    torch.testing.assert_close(coarser(shares, 4), shares)
    torch.testing.assert_close(coarser(shares, 2), region_shares(torch.from_numpy(parts), 2))


def test_the_loss_teaches_attention_where_to_look():
    clip = make_clips(HELD_OUT_STREAM, 0, size=64, frames=2)[0]
    denoiser = Denoiser.fresh(seed=0)
    remove_motion(denoiser.unet)
    parts, reference_parts = torch.from_numpy(clip.parts)[None], torch.from_numpy(clip.reference_parts[:1])
    generator = torch.Generator().manual_seed(0)
    latents, reference = torch.randn(2, 8, 8, 8, generator=generator), torch.randn(1, 8, 8, 8, generator=generator)
    trained = [p for p in denoiser.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=2e-3)
    losses = []
    for _ in range(4):
        with recorded_queries(denoiser.unet) as queries:
            _, bank = denoiser(latents, torch.tensor([300]), hints_of(parts[0]), reference, frames=2, coupled=False)
        loss = reading_loss(denoiser.unet, queries, bank, parts, reference_parts)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.95 * losses[0]
