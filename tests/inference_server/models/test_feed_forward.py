"""The feed-forward in pieces against diffusers' in one."""

import torch
from diffusers.models.attention import FeedForward

from inference_server.engines.memory import LiveBytes
from inference_server.models.feed_forward import PIECE_TOKENS, PiecewiseFeedForward


@torch.no_grad()
def test_pieces_give_the_same_in_less_memory():
    whole = FeedForward(8, activation_fn="geglu")
    names = set(whole.state_dict())
    pieces = PiecewiseFeedForward(whole)
    assert set(pieces.state_dict()) == names
    peaks = []
    tokens = torch.randn(4, PIECE_TOKENS - 100, 8)
    for layer in (whole, pieces):
        with LiveBytes() as count:
            out = layer(tokens)
        peaks.append(count.peak)
        assert out.shape == tokens.shape
    assert peaks[1] < peaks[0] / 2
    assert (pieces(tokens) - whole(tokens)).abs().max() < 1e-6
    assert torch.equal(pieces(tokens[:1, :50]), whole(tokens[:1, :50]))
