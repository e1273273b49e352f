"""The front door: calls that a kernel can take, and results that do not tell how they were cut."""

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from inference_server.models import attention
from inference_server.models.attention import (
    MOST_ROWS,
    SCORES_BYTES,
    AttentionBackend,
    CallContext,
    PictureAttentionProcessor,
    merge_heads,
)
from inference_server.models.unet import ClipGroupNorm


class Noting:
    """The kernel, noting the shapes of its calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, query, key, value):
        self.calls.append((query.shape[0], query.shape[2], key.shape[0]))
        return functional.scaled_dot_product_attention(query, key, value)


def tensors(rows, heads, queries, keys, head=8):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(rows, heads, n, head, generator=generator) for n in (queries, keys, keys)]


def test_no_call_has_more_rows_than_a_grid():
    """As many as nine windows of 512 x 512 pixels with guidance have in temporal attention."""
    rows = 2 * 9 * 64 * 64
    assert rows > MOST_ROWS
    kernel, given_ = Noting(), tensors(rows, 1, 2, 2, head=1)
    out = AttentionBackend("noting", kernel)(*given_)
    assert [call[0] for call in kernel.calls] == [65_535, rows - 65_535]
    assert (out - functional.scaled_dot_product_attention(*given_)).abs().max() <= 1e-5


@pytest.mark.parametrize("room", [2**10, 2**13, 2**16])
@pytest.mark.parametrize(("rows", "queries", "keys"), [(1, 96, 77), (5, 33, 66), (7, 16, 16)])
def test_slices_equal_the_whole(monkeypatch, room, rows, queries, keys):
    monkeypatch.setattr(attention, "SCORES_BYTES", room)
    kernel, given_ = Noting(), tensors(rows, 2, queries, keys)
    backend = AttentionBackend("noting", kernel, fused=False)
    out = backend(*given_)
    assert (out - functional.scaled_dot_product_attention(*given_)).abs().max() <= 1e-5
    assert all(2 * 4 * r * 2 * q * keys <= room or (r, q) == (1, 1) for r, q, _ in kernel.calls)
    assert all(r == k for r, _, k in kernel.calls)
    assert merge_heads(out).shape == (rows, queries, 16)


shapes = st.tuples(st.integers(1, 2**18), st.integers(1, 16), st.integers(1, 2**14), st.integers(1, 2**15))


@given(shapes)
def test_the_planner_is_told_what_a_call_takes(shape):
    assert AttentionBackend().working_bytes(*shape) == 0
    unfused = AttentionBackend(fused=False)
    taken, whole = unfused.working_bytes(*shape), 2 * 4 * shape[0] * shape[1] * shape[2] * shape[3]
    assert 0 < taken <= min(whole, SCORES_BYTES)


def test_the_scores_of_the_last_up_block_stay_small():
    """8 heads, 4096 pixels, reference beside: 16 frames would make 17 GB with their softmax."""
    assert AttentionBackend(fused=False).working_bytes(16, 8, 4096, 8192) <= SCORES_BYTES


def test_attention_in_the_middle_of_a_vae():
    torch.manual_seed(0)
    layer = Attention(
        16, heads=1, dim_head=16, norm_num_groups=4, residual_connection=True, bias=True, rescale_output_factor=1.5,
        upcast_softmax=True, _from_deprecated_attn_block=True,
    )  # fmt: skip
    x = torch.randn(2, 16, 6, 5)
    layer.set_processor(AttnProcessor2_0())
    expected = layer(x)
    layer.set_processor(PictureAttentionProcessor(AttentionBackend(fused=False)))
    assert (layer(x) - expected).abs().max() < 1e-5


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_norms_over_frames_keep_the_memory_format(memory_format):
    torch.manual_seed(0)
    norm = ClipGroupNorm(nn.GroupNorm(4, 8), CallContext(frames=3))
    nn.init.normal_(norm.weight)
    x = torch.randn(6, 8, 4, 5)
    video = x.unflatten(0, (2, 3)).transpose(1, 2)
    expected = functional.group_norm(video, 4, norm.weight, norm.bias, norm.eps).transpose(1, 2).flatten(0, 1)
    out = norm(x.to(memory_format=memory_format))
    assert out.is_contiguous(memory_format=memory_format)
    assert (out - expected).abs().max() < 1e-5
