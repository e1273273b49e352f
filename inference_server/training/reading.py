"""Teach reference attention where to look: a torso should read the reference's torso.

Synthetic clips come with exact part maps of targets AND references, so that the attention itself can be supervised: the
parts that a cell reads, weighed by its attention, should be the parts that are drawn there. Without this the pose is
learned in minutes and the clothes take hours.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from inference_server.models.attention import split_heads
from inference_server.models.unet import UNet3D

WALL_BANDS = 4  # the wall has no parts; it should be read at its own height
# DensePose label -> region: front and back, inside and outside of a limb look alike and need not be told apart.
REGION_OF_LABEL = torch.tensor([0, 1, 1, 2, 3, 4, 5, 6, 7, 6, 7, 8, 9, 8, 9, 10, 11, 10, 11, 12, 13, 12, 13, 14, 14])
REGIONS = int(REGION_OF_LABEL.max()) + WALL_BANDS
SUPERVISED = ("up_blocks.2.", "up_blocks.3.")
SUPERVISED_HEADS = 0.5  # share of each block's heads; the others stay free


def region_shares(parts: Tensor, cells: int) -> Tensor:
    """parts: (N, S, S) labels. Returns (N, cells * cells, REGIONS): what share of each cell is which region."""
    count, size = parts.shape[:2]
    regions = REGION_OF_LABEL.to(parts.device)[parts.long()]
    line = torch.arange(size, device=parts.device)
    wall = (line * WALL_BANDS // size)[None, :, None]
    regions = torch.where(regions == 0, wall, regions + WALL_BANDS - 1)
    cell = line * cells // size
    slot = (cell[:, None] * cells + cell) * REGIONS + regions
    shares = torch.zeros(count, cells * cells * REGIONS, device=parts.device)
    shares.scatter_add_(1, slot.flatten(1), torch.ones((), device=parts.device).expand(count, size * size))
    return shares.unflatten(1, (-1, REGIONS)) * (cells / size) ** 2


def coarser(shares: Tensor, cells: int) -> Tensor:
    """Region shares (N, tokens, REGIONS) on a coarser grid of cells."""
    fine = round(shares.shape[1] ** 0.5)
    grid = shares.transpose(1, 2).unflatten(2, (fine, fine))
    return functional.adaptive_avg_pool2d(grid, cells).flatten(2).transpose(1, 2)


@contextmanager
def recorded_queries(unet: UNet3D) -> Iterator[dict[str, Tensor]]:
    """While open, keeps the input of the supervised self attentions by block path."""
    record: dict[str, Tensor] = {}
    handles = []
    for name, block in unet.named_modules():
        if name.startswith(SUPERVISED) and ".attentions." in name and name.endswith(".transformer_blocks.0"):
            keep = lambda _module, _inputs, output, name=name: record.__setitem__(name, output)  # noqa: E731
            handles.append(block.norm1.register_forward_hook(keep))
    try:
        yield record
    finally:
        for handle in handles:
            handle.remove()


def reading_loss(
    unet: UNet3D, queries: Mapping[str, Tensor], bank: Mapping[str, Tensor], parts: Tensor, reference_parts: Tensor
) -> Tensor:
    """Cross entropy between the regions drawn in each cell and the regions read there, mean over blocks.

    parts: (R, F, S, S) of the clips that have references; reference_parts: (R, S, S). Regions that a reference does not
    show are not asked for.
    """
    clips, frames = parts.shape[:2]
    finest = max(round(hidden.shape[1] ** 0.5) for hidden in queries.values())
    drawn_fine, shown_fine = region_shares(parts.flatten(0, 1), finest), region_shares(reference_parts, finest)
    losses = []
    for block, hidden in queries.items():
        attn: nn.Module = unet.get_submodule(block).attn1
        heads = max(1, int(attn.heads * SUPERVISED_HEADS))
        query = split_heads(attn.to_q(hidden[-clips * frames :]), attn.heads)[:, :heads].unflatten(0, (clips, frames))
        key = split_heads(attn.to_k(bank[block]), attn.heads)[:, None, :heads]
        read = (query @ key.transpose(-1, -2) * attn.scale).softmax(-1).mean(2)  # clips, frames, tokens, tokens
        cells = round(hidden.shape[1] ** 0.5)
        drawn = coarser(drawn_fine, cells).unflatten(0, (clips, frames))
        shown = coarser(shown_fine, cells)[:, None]
        asked = drawn * (shown.amax(2, keepdim=True) > 0.25)
        entropy = -(asked * (read @ shown).clamp(min=1e-4).log()).sum(-1)
        person = 1 + 3 * asked[..., WALL_BANDS:].sum(-1)
        losses.append((entropy * person).sum() / (asked.sum(-1) * person).sum())
    return torch.stack(losses).mean()
