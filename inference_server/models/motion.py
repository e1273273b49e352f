"""Motion module: attention over the frames of a window, at every pixel of a feature map on its own."""

import math

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from inference_server.models.attention import CallContext, merge_heads, split_heads
from inference_server.models.feed_forward import PiecewiseFeedForward


def sinusoid_table(length: int, channels: int) -> Tensor:
    """Fixed position code (1, length, channels): sine on even channels, cosine on odd ones, base 10000.

    Vaswani et al. 2017, section 3.5.
    """
    position = torch.arange(length).unsqueeze(1)
    frequency = torch.exp(torch.arange(0, channels, 2) * (-math.log(10000.0) / channels))
    table = torch.zeros(1, length, channels)
    table[0, :, 0::2] = torch.sin(position * frequency)
    table[0, :, 1::2] = torch.cos(position * frequency)
    return table


class PositionTable(nn.Module):
    """Adds the position code of frames 0..F-1; part of the state dict as `pe`."""

    def __init__(self, length: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("pe", sinusoid_table(length, channels))

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + self.pe[:, : tokens.shape[1]].to(tokens.dtype)


class TemporalProcessor:
    """SDPA for diffusers' Attention layer, by the backend that the network's context names."""

    def __init__(self, context: CallContext) -> None:
        self.context = context

    def __call__(self, attn: Attention, hidden_states: Tensor, **_: object) -> Tensor:
        query, key, value = (split_heads(p(hidden_states), attn.heads) for p in (attn.to_q, attn.to_k, attn.to_v))
        return attn.to_out[0](merge_heads(self.context.attend(query, key, value)))


class TemporalAttention(Attention):
    """Self attention over (pixels, frames, channels) with positions added before all three projections."""

    def __init__(self, channels: int, heads: int, max_window: int, context: CallContext) -> None:
        super().__init__(query_dim=channels, heads=heads, dim_head=channels // heads)
        self.pos_encoder = PositionTable(max_window, channels)
        self.set_processor(TemporalProcessor(context))

    def forward(self, hidden_states: Tensor) -> Tensor:
        return super().forward(self.pos_encoder(hidden_states))


class TemporalBlock(nn.Module):
    """Twice {norm, attention over frames, +}, then {norm, GEGLU feed-forward, +}."""

    def __init__(self, channels: int, heads: int, max_window: int, context: CallContext) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList(TemporalAttention(channels, heads, max_window, context) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.ff = PiecewiseFeedForward(FeedForward(channels, activation_fn="geglu"))
        self.ff_norm = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor) -> Tensor:
        for attention, norm in zip(self.attention_blocks, self.norms, strict=True):
            tokens = tokens + attention(norm(tokens))
        return tokens + self.ff(self.ff_norm(tokens))


class TemporalTransformer(nn.Module):
    """Norm per frame, project, one temporal block, project back, residual. Starts as identity (proj_out zero)."""

    def __init__(self, channels: int, heads: int, groups: int, max_window: int, context: CallContext) -> None:
        super().__init__()
        self.context = context
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(channels, heads, max_window, context)])
        self.proj_out = nn.Linear(channels, channels)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """hidden_states: (clips * frames, channels, h, w)."""
        frames, (_rows, channels, height, width) = self.context.frames, hidden_states.shape
        tokens = self.norm(hidden_states).unflatten(0, (-1, frames))  # clips, frames, channels, h, w
        tokens = tokens.permute(0, 3, 4, 1, 2).reshape(-1, frames, channels)
        tokens = self.proj_in(tokens)
        for block in self.transformer_blocks:
            tokens = block(tokens)
        tokens = self.proj_out(tokens).reshape(-1, height, width, frames, channels)
        return hidden_states + tokens.permute(0, 3, 4, 1, 2).reshape(hidden_states.shape)


class MotionModule(nn.Module):
    """The published files' module level around the temporal transformer."""

    def __init__(self, channels: int, heads: int, groups: int, max_window: int, context: CallContext) -> None:
        super().__init__()
        self.temporal_transformer = TemporalTransformer(channels, heads, groups, max_window, context)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.temporal_transformer(hidden_states)
