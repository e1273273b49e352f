"""One front door for attention, and the processors behind it: reference reading and writing, prompt keys computed once.

Every attention of every network goes through an `AttentionBackend`, which keeps to what kernels can take.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor
from torch.nn import functional

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(query, key, value), each (batch, heads, tokens, head_dim) -> (batch, heads, query tokens, head_dim)."""

KeyValue = tuple[Tensor, Tensor]
"""Projected reference of one block: keys and values, each (references, heads, tokens, head_dim)."""


MOST_ROWS = 65_535
"""Rows of a batch in one call: fused CUDA kernels lay them along a grid dimension that ends there.

PyTorch issue 146704. Temporal attention has a row per pixel: ten windows of 512 x 512 pixels with guidance are 81,920.
"""
SCORES_BYTES = 2**28
"""Bytes of scores made at once where no fused kernel is. The last up block at 512 x 512 would make 8.6 GB."""


@dataclass(frozen=True)
class AttentionBackend:
    """Softmax attention by a kernel, cut into calls that it can take.

    fused: whether the kernel works without ever holding the scores (rows x heads x queries x keys). If not, some rows
    are attended to at a time, or some queries of one row; a query's softmax does not know of other queries.
    """

    name: str = "sdpa"
    kernel: Attend = functional.scaled_dot_product_attention
    fused: bool = True

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(rows, heads, queries, head_dim), (rows, heads, keys, head_dim) twice -> (rows, heads, queries, head_dim)."""
        rows, heads, queries, _ = query.shape
        rows_at_once, at_once = self.pieces(rows, heads, queries, key.shape[2])
        if rows_at_once >= rows and at_once >= queries:
            return self.kernel(query, key, value)
        out = query.new_empty(rows, queries, heads, value.shape[-1]).transpose(1, 2)  # as `merge_heads` wants it
        for row in range(0, rows, rows_at_once):
            some = slice(row, row + rows_at_once)
            for start in range(0, queries, at_once):
                part = slice(start, start + at_once)
                out[some, :, part] = self.kernel(query[some, :, part], key[some], value[some])
        return out

    def pieces(self, rows: int, heads: int, queries: int, keys: int) -> tuple[int, int]:
        """(rows, queries) of one call of the kernel."""
        if self.fused:
            return min(rows, MOST_ROWS), queries
        query_bytes = 2 * 4 * heads * keys  # scores and their softmax, in float32 at most
        if query_bytes * queries > SCORES_BYTES:
            return 1, max(1, min(queries, SCORES_BYTES // query_bytes))
        return min(rows, MOST_ROWS, SCORES_BYTES // (query_bytes * queries)), queries

    def working_bytes(self, rows: int, heads: int, queries: int, keys: int) -> int:
        """What a call takes beside its inputs and its output."""
        if self.fused:
            return 0
        rows, queries = self.pieces(rows, heads, queries, keys)
        return 2 * 4 * rows * heads * queries * keys


def xformers_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Memory-efficient attention of the xformers package; CUDA only. Raises ImportError where it isn't installed."""
    from xformers.ops import memory_efficient_attention

    query, key, value = (x.transpose(1, 2) for x in (query, key, value))
    return memory_efficient_attention(query, key, value).transpose(1, 2)


@dataclass
class CallContext:
    """What a network's layers must know of the call in progress; one per network, set by its forward.

    frames: frames per clip; rows of a folded batch are clip-major: (clips * frames, ...).
    references: block path -> reference tokens (references, tokens, channels) or projected KeyValue. The LAST
        `references` clips of the batch read one each; clips before them attend to themselves only.
    written: filled with block path -> tokens (rows, tokens, channels) by a network that writes references.
    text_cache: block path -> projected prompt; survives calls, belongs to one prompt.
    sharing: work that is provably equal is done once, see docs/performance.md; off is the yardstick for tests and
        benchmarks. Cost differs, results do not (but for float order).
    """

    frames: int = 1
    references: Mapping[str, Tensor | KeyValue] | None = None
    written: dict[str, Tensor] | None = None
    text_cache: dict[str, KeyValue] = field(default_factory=dict)
    sharing: bool = True
    attend: Attend = field(default_factory=AttentionBackend)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(rows, tokens, channels) -> (rows, heads, tokens, channels / heads)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """Inverse of `split_heads`."""
    return x.transpose(1, 2).flatten(2)


def project_reference(attn: Attention, tokens: Tensor) -> KeyValue:
    """Reference tokens (references, tokens, channels) through the reader's own key and value projections."""
    return split_heads(attn.to_k(tokens), attn.heads), split_heads(attn.to_v(tokens), attn.heads)


class SelfAttentionProcessor:
    """For `attn1`. Its input is the block's norm1 output, which is exactly what reference attention passes on."""

    def __init__(self, block: str, context: CallContext) -> None:
        self.block = block
        self.context = context

    def __call__(self, attn: Attention, hidden_states: Tensor, **_: object) -> Tensor:
        context = self.context
        if context.written is not None:
            context.written[self.block] = hidden_states
        query, key, value = (split_heads(p(hidden_states), attn.heads) for p in (attn.to_q, attn.to_k, attn.to_v))
        reference = context.references.get(self.block) if context.references else None
        if reference is None:
            out = context.attend(query, key, value)
        else:
            out = self._attend_with_reference(attn, query, key, value, reference)
        return attn.to_out[0](merge_heads(out))

    def _attend_with_reference(
        self, attn: Attention, query: Tensor, key: Tensor, value: Tensor, reference: Tensor | KeyValue
    ) -> Tensor:
        """One softmax over own and reference tokens for clips that have a reference, own tokens only for the others."""
        context = self.context
        ref_key, ref_value = self._reference_rows(attn, reference)
        plain = query.shape[0] - ref_key.shape[0]
        if plain and not context.sharing:
            ref_key, ref_value = (torch.cat([x[:plain], x]) for x in (ref_key, ref_value))
            joint = context.attend(query, torch.cat([key, ref_key], dim=2), torch.cat([value, ref_value], dim=2))
            return torch.cat([context.attend(query[:plain], key[:plain], value[:plain]), joint[plain:]])
        joint = context.attend(
            query[plain:], torch.cat([key[plain:], ref_key], dim=2), torch.cat([value[plain:], ref_value], dim=2)
        )
        if not plain:
            return joint
        return torch.cat([context.attend(query[:plain], key[:plain], value[:plain]), joint])

    def _reference_rows(self, attn: Attention, reference: Tensor | KeyValue) -> KeyValue:
        """Keys and values of the reference, one row per frame that reads it."""
        frames = self.context.frames
        if isinstance(reference, Tensor) and not self.context.sharing:
            return project_reference(attn, reference.repeat_interleave(frames, dim=0))
        key, value = project_reference(attn, reference) if isinstance(reference, Tensor) else reference
        return key.repeat_interleave(frames, dim=0), value.repeat_interleave(frames, dim=0)


class PromptAttentionProcessor:
    """For `attn2`. A prompt of one row serves every frame: its keys come once, and the frames fold into tokens."""

    def __init__(self, block: str, context: CallContext) -> None:
        self.block = block
        self.context = context

    def __call__(
        self, attn: Attention, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **_: object
    ) -> Tensor:
        if encoder_hidden_states is None:
            raise ValueError(f"{self.block}: cross attention without a prompt")
        rows, tokens, _channels = hidden_states.shape
        query = attn.to_q(hidden_states)
        shared = encoder_hidden_states.shape[0] == 1 and self.context.sharing
        if shared:
            query = query.reshape(1, rows * tokens, -1)
            key, value = self._cached_projection(attn, encoder_hidden_states)
        else:
            repeats = rows // encoder_hidden_states.shape[0]
            key, value = project_reference(attn, encoder_hidden_states.repeat_interleave(repeats, dim=0))
        out = self.context.attend(split_heads(query, attn.heads), key, value)
        return attn.to_out[0](merge_heads(out).reshape(rows, tokens, -1))

    def _cached_projection(self, attn: Attention, text: Tensor) -> KeyValue:
        if torch.is_grad_enabled():
            return project_reference(attn, text)
        cache = self.context.text_cache
        if self.block not in cache:
            cache[self.block] = project_reference(attn, text)
        return cache[self.block]


class PictureAttentionProcessor:
    """For the attention over all pixels in the middle of a VAE."""

    def __init__(self, attend: Attend) -> None:
        self.attend = attend

    def __call__(self, attn: Attention, hidden_states: Tensor, temb: None = None, **_: object) -> Tensor:
        """hidden_states: (rows, channels, h, w). temb: VAEs have no time, but diffusers names it."""
        tokens = attn.group_norm(hidden_states.flatten(2)).transpose(1, 2)
        query, key, value = (split_heads(p(tokens), attn.heads) for p in (attn.to_q, attn.to_k, attn.to_v))
        out = attn.to_out[0](merge_heads(self.attend(query, key, value)))
        out = out.transpose(1, 2).reshape(hidden_states.shape)
        return (out + hidden_states if attn.residual_connection else out) / attn.rescale_output_factor
