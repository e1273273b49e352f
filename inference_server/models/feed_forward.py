"""The feed-forward of diffusers' transformer blocks, a bounded number of tokens at a time."""

import torch
from diffusers.models.attention import FeedForward
from torch import Tensor, nn

PIECE_TOKENS = 2**15
"""Enough to fill any device: a layer at 512 x 512 has 131072 tokens in its widest and 32768 in its next blocks."""


class PiecewiseFeedForward(nn.Module):
    """Same weights, names and results as the layer that it takes over.

    Inside, a token is eight times as wide as outside, which made more than half of a window's peak of memory.
    """

    def __init__(self, whole: FeedForward) -> None:
        super().__init__()
        self.net = whole.net

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: (rows, tokens, channels)."""
        pieces = tokens.flatten(0, 1).split(PIECE_TOKENS)
        done = [self._run(piece) for piece in pieces]
        return (done[0] if len(done) == 1 else torch.cat(done)).view(tokens.shape)

    def _run(self, tokens: Tensor) -> Tensor:
        for layer in self.net:
            tokens = layer(tokens)
        return tokens
