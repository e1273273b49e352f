"""The networks over Stable Diffusion 1.5's UNet: the 3D UNet, the appearance encoder and the pose ControlNet.

Video tensors are folded: (clips * frames, channels, height, width), clip-major, so that 2D layers see images.
"""

import inspect
from collections.abc import Iterator, Mapping
from itertools import repeat
from typing import Any

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn

from inference_server.models.attention import (
    CallContext,
    KeyValue,
    PromptAttentionProcessor,
    SelfAttentionProcessor,
    project_reference,
)
from inference_server.models.feed_forward import PiecewiseFeedForward
from inference_server.models.motion import MotionModule
from inference_server.models.spec import ModelSpec

Residuals = tuple[list[Tensor], Tensor]
"""ControlNet output: one tensor per skip connection, and one for the mid block."""


def network_arguments(network: type[nn.Module], config: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a published config.json that a network's constructor takes."""
    known = inspect.signature(network.__init__).parameters
    return {key: value for key, value in config.items() if key in known}


COMPILED = ["ResnetBlock2D", "PiecewiseFeedForward", "TemporalTransformer"]
"""Layers that repeat and in which compilation fuses much, for diffusers' `compile_repeated_blocks`.

Transformer blocks stay as they are: their attention looks up references by name, which would compile each anew.
"""


class ClipGroupNorm(nn.GroupNorm):
    """GroupNorm whose statistics run over all frames of a clip, on a folded tensor.

    The original applies its norms to (batch, channels, frames, height, width) tensors. What comes out has the memory
    format of what went in, so that the convolution behind it need not convert.
    """

    def __init__(self, norm: nn.GroupNorm, context: CallContext) -> None:
        super().__init__(norm.num_groups, norm.num_channels, eps=norm.eps)
        self.context = context

    def forward(self, x: Tensor) -> Tensor:
        frames = self.context.frames
        if frames == 1:
            return super().forward(x)
        video = x.unflatten(0, (-1, frames)).transpose(1, 2)  # clips, channels, frames, h, w
        normed = super().forward(video.flatten(2)).view(video.shape)
        return torch.empty_like(x).unflatten(0, (-1, frames)).copy_(normed.transpose(1, 2)).flatten(0, 1)


def install_processors(network: nn.Module, context: CallContext) -> None:
    """Give every transformer block of a 2D UNet or ControlNet our attention processors and feed-forward."""
    processors = {}
    for name in network.attn_processors:
        block, layer = name.removesuffix(".processor").rsplit(".", 1)
        kind = SelfAttentionProcessor if layer == "attn1" else PromptAttentionProcessor
        processors[name] = kind(block, context)
    network.set_attn_processor(processors)
    for module in network.modules():
        if isinstance(module, BasicTransformerBlock):
            module.ff = PiecewiseFeedForward(module.ff)


def embed_time(network: nn.Module, timesteps: Tensor, frames: int, dtype: torch.dtype) -> Tensor:
    """timesteps: (1,) for all clips or (clips,). Returns (1, D) or (clips * frames, D)."""
    embedded = network.time_embedding(network.time_proj(timesteps).to(dtype))
    return embedded if len(timesteps) == 1 else embedded.repeat_interleave(frames, dim=0)


def layers_of(block: nn.Module) -> Iterator[tuple[nn.Module, nn.Module | None, nn.Module | None]]:
    """(resnet, transformer or None, motion module or None) of each layer, in order."""
    attentions, motions = getattr(block, "attentions", repeat(None)), getattr(block, "motion_modules", repeat(None))
    return zip(block.resnets, attentions, motions, strict=False)


def run_layer(
    layer: tuple[nn.Module, nn.Module | None, nn.Module | None], hidden: Tensor, temb: Tensor, text: Tensor
) -> Tensor:
    """One resnet, transformer, motion module sequence."""
    resnet, transformer, motion = layer
    hidden = resnet(hidden, temb)
    if transformer is not None:
        hidden = transformer(hidden, encoder_hidden_states=text, return_dict=False)[0]
    return hidden if motion is None else motion(hidden)


def run_down(network: nn.Module, hidden: Tensor, temb: Tensor, text: Tensor) -> tuple[Tensor, list[Tensor]]:
    """All down blocks. Returns the last feature map and the skips, conv_in's output first."""
    skips = [hidden]
    for block in network.down_blocks:
        for layer in layers_of(block):
            hidden = run_layer(layer, hidden, temb, text)
            skips.append(hidden)
        for downsampler in block.downsamplers or ():
            hidden = downsampler(hidden)
            skips.append(hidden)
    return hidden, skips


def run_mid(network: nn.Module, hidden: Tensor, temb: Tensor, text: Tensor) -> Tensor:
    """The mid block after its first resnet."""
    block = network.mid_block
    motions = getattr(block, "motion_modules", repeat(None))
    for transformer, motion, resnet in zip(block.attentions, motions, block.resnets[1:], strict=False):
        hidden = transformer(hidden, encoder_hidden_states=text, return_dict=False)[0]
        if motion is not None:
            hidden = motion(hidden)
        hidden = resnet(hidden, temb)
    return hidden


class UNet3D(UNet2DConditionModel):
    """SD1.5's UNet with motion modules; loads a 2D state dict one to one, and motion modules beside it."""

    _repeated_blocks = COMPILED

    def __init__(self, spec: ModelSpec, config: Mapping[str, Any]) -> None:
        """`config`: unet/config.json. The published one says nothing of the motion modules, which have 8 heads and 32
        groups at every width; `motion_num_attention_heads` and `motion_norm_num_groups` there override them.
        """
        super().__init__(**network_arguments(UNet2DConditionModel, config))
        self.spec = spec
        self.context = CallContext()
        install_processors(self, self.context)
        blocks = [*self.down_blocks, *self.up_blocks, *([self.mid_block] if spec.motion_in_mid else [])]
        heads, groups = config.get("motion_num_attention_heads", 8), config.get("motion_norm_num_groups", 32)
        for block in blocks:
            layers = block.resnets[1:] if block is self.mid_block else block.resnets
            block.motion_modules = nn.ModuleList(
                MotionModule(resnet.out_channels, heads, groups, spec.max_window, self.context) for resnet in layers
            )
        if spec.norm_across_frames:
            self._norm_across_frames()

    def _norm_across_frames(self) -> None:
        for block in (*self.down_blocks, self.mid_block, *self.up_blocks):
            for resnet in block.resnets:
                resnet.norm1 = ClipGroupNorm(resnet.norm1, self.context)
                resnet.norm2 = ClipGroupNorm(resnet.norm2, self.context)
        self.conv_norm_out = ClipGroupNorm(self.conv_norm_out, self.context)

    def forward(
        self,
        sample: Tensor,
        timesteps: Tensor,
        text: Tensor,
        *,
        frames: int,
        residuals: Residuals | None = None,
        pose_features: Tensor | None = None,
        references: Mapping[str, Tensor | KeyValue] | None = None,
        guidance: bool = False,
    ) -> Tensor:
        """Predict the noise of clips.

        sample: (clips * frames, channels, h, w). timesteps: (1,) or (clips,). text: (1 or clips, tokens, D); with
        `guidance` always one row. residuals: per row of `sample`. pose_features: added to conv_in's output.
        references: block path -> (R, tokens, C) or projected; read by the last R clips.
        guidance: clips are doubled into [unconditional..., conditional...] where the halves begin to differ (after mid
        resnet 0), or at the start if sharing is off; only the conditional ones read references.
        Returns (clips * frames, channels, h, w), doubled with `guidance`.
        """
        context = self.context
        context.frames, context.references = frames, references
        double_late = guidance and context.sharing
        if guidance and not double_late:
            sample, timesteps, residuals, pose_features = double_inputs(sample, timesteps, residuals, pose_features)
        temb = embed_time(self, timesteps, frames, sample.dtype)
        hidden = self.conv_in(sample)
        if pose_features is not None:
            hidden = hidden + pose_features
        hidden, skips = run_down(self, hidden, temb, text)
        if residuals is not None:
            skips = [skip + residual for skip, residual in zip(skips, residuals[0], strict=True)]
        hidden = self.mid_block.resnets[0](hidden, temb)
        if double_late:
            hidden = torch.cat([hidden, hidden])
            temb = temb if len(temb) == 1 else torch.cat([temb, temb])
        hidden = run_mid(self, hidden, temb, text)
        if residuals is not None:
            hidden = hidden + (torch.cat([residuals[1]] * 2) if double_late else residuals[1])
        hidden = self._run_up(hidden, skips, temb, text)
        return self.conv_out(self.conv_act(self.conv_norm_out(hidden)))

    def _run_up(self, hidden: Tensor, skips: list[Tensor], temb: Tensor, text: Tensor) -> Tensor:
        skips = list(skips)
        for block in self.up_blocks:
            for layer in layers_of(block):
                skip = skips.pop()
                skip = skip if len(skip) == len(hidden) else torch.cat([skip, skip])
                hidden = run_layer(layer, torch.cat([hidden, skip], dim=1), temb, text)
            for upsampler in block.upsamplers or ():
                hidden = upsampler(hidden, output_size=skips[-1].shape[-2:])
        return hidden

    def project_references(self, references: Mapping[str, Tensor]) -> dict[str, KeyValue]:
        """Reference tokens through this network's key and value projections, once for all frames and windows."""
        return {block: project_reference(self.get_submodule(block).attn1, x) for block, x in references.items()}


def double_inputs(
    sample: Tensor, timesteps: Tensor, residuals: Residuals | None, pose_features: Tensor | None
) -> tuple[Tensor, Tensor, Residuals | None, Tensor | None]:
    """Both guidance halves from the start: the same inputs twice."""
    twice = lambda x: torch.cat([x, x])  # noqa: E731
    if residuals is not None:
        residuals = [twice(x) for x in residuals[0]], twice(residuals[1])
    timesteps = timesteps if len(timesteps) == 1 else twice(timesteps)
    return twice(sample), timesteps, residuals, None if pose_features is None else twice(pose_features)


class AppearanceEncoder(UNet2DConditionModel):
    """SD1.5's UNet without its output head, run for what its blocks see: their norm1 outputs are the reference."""

    def __init__(self, spec: ModelSpec, config: Mapping[str, Any]) -> None:
        super().__init__(**network_arguments(UNet2DConditionModel, config))
        self.spec = spec
        self.context = CallContext()
        install_processors(self, self.context)
        self._remove_unused()

    def _remove_unused(self) -> None:
        """Drop what lies behind the last norm1; the published file has no weights for it."""
        self.conv_norm_out = self.conv_out = None
        last = self.up_blocks[-1].attentions[-1]
        last.proj_out = None
        block = last.transformer_blocks[0]
        block.attn1 = block.norm2 = block.attn2 = block.norm3 = block.ff = None

    @property
    def last_block(self) -> str:
        up = len(self.up_blocks) - 1
        return f"up_blocks.{up}.attentions.{len(self.up_blocks[up].attentions) - 1}.transformer_blocks.0"

    def forward(self, sample: Tensor, timesteps: Tensor, text: Tensor) -> dict[str, Tensor]:
        """sample: clean reference latents (rows, channels, h, w); timesteps: (1,) or (rows,); text: (1 or rows, n, D).

        Returns block path -> (rows, h * w of the block, channels), the blocks of `spec.reference_blocks` only.
        """
        self.context.written = written = {}
        temb = embed_time(self, timesteps, 1, sample.dtype)
        hidden, skips = run_down(self, self.conv_in(sample), temb, text)
        hidden = run_mid(self, self.mid_block.resnets[0](hidden, temb), temb, text)
        for number, block in enumerate(self.up_blocks):
            layers = list(layers_of(block))
            final = layers.pop() if number == len(self.up_blocks) - 1 else None
            for layer in layers:
                hidden = run_layer(layer, torch.cat([hidden, skips.pop()], dim=1), temb, text)
            for upsampler in block.upsamplers or ():
                hidden = upsampler(hidden, output_size=skips[-1].shape[-2:])
        resnet, transformer, _ = final
        hidden = resnet(torch.cat([hidden, skips.pop()], dim=1), temb)
        tokens, _channels = transformer._operate_on_continuous_inputs(hidden)
        written[self.last_block] = transformer.transformer_blocks[0].norm1(tokens)
        self.context.written = None
        return {block: tokens for block, tokens in written.items() if self.spec.reads_reference(block)}


class PoseControlNet(ControlNetModel):
    """diffusers' ControlNet with its hint encoder callable on its own, because hints do not change over steps."""

    _repeated_blocks = COMPILED

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(**network_arguments(ControlNetModel, config))
        self.context = CallContext()
        install_processors(self, self.context)

    def embed_hint(self, condition: Tensor) -> Tensor:
        """condition: (rows, 3, H, W) in [0, 1], RGB, not mapped to [-1, 1]. Returns (rows, channels, H / 8, W / 8)."""
        return self.controlnet_cond_embedding(condition)

    def forward(self, sample: Tensor, timesteps: Tensor, text: Tensor, hint: Tensor, scale: float = 1.0) -> Residuals:
        """sample: (rows, channels, h, w), a frame each; hint: from `embed_hint`. Returns residuals times `scale`."""
        temb = embed_time(self, timesteps, len(sample) // len(timesteps), sample.dtype)
        hidden, skips = run_down(self, self.conv_in(sample) + hint, temb, text)
        hidden = run_mid(self, self.mid_block.resnets[0](hidden, temb), temb, text)
        down = [layer(skip) * scale for layer, skip in zip(self.controlnet_down_blocks, skips, strict=True)]
        return down, self.controlnet_mid_block(hidden) * scale
