"""The networks that are trained together, and the few things that only training does to them."""

from collections.abc import Mapping

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from inference_server.models.attention import PromptAttentionProcessor
from inference_server.models.spec import MAGICANIMATE
from inference_server.models.unet import AppearanceEncoder, PoseControlNet, UNet3D
from inference_server.training.initial import direct_path_unet, silence_prompt
from inference_server.training.sizes import CONTROLNET, UNET


class SilentPrompt(PromptAttentionProcessor):
    """Stands in for prompt attention whose output layer is zero and stays so: the same result without the work."""

    def __call__(
        self, attn: Attention, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **_: object
    ) -> Tensor:
        return torch.zeros_like(hidden_states)


def skip_prompt(network: nn.Module) -> None:
    """Leave prompt attention out of a network, and out of its training."""
    network.set_attn_processor(
        {
            name: SilentPrompt(p.block, p.context) if isinstance(p, PromptAttentionProcessor) else p
            for name, p in network.attn_processors.items()
        }
    )
    for name, parameter in network.named_parameters():
        if ".attn2." in name or (".norm2." in name and "transformer_blocks" in name):
            parameter.requires_grad_(False)


def remove_motion(unet: UNet3D) -> None:
    """Before the motion stage the motion modules pass everything through unchanged: leave them out."""
    for block in (*unet.down_blocks, *unet.up_blocks):
        del block.motion_modules


class Denoiser(nn.Module):
    """UNet, appearance encoder and ControlNet as one thing that predicts noise from (latents, t, parts, reference)."""

    def __init__(
        self, unet: UNet3D, appearance: AppearanceEncoder, controlnet: PoseControlNet, text: Tensor | None = None
    ) -> None:
        """`text`: the empty prompt's embedding (1, tokens, D); None for networks that skip the prompt."""
        super().__init__()
        self.register_buffer("text", torch.zeros(1, 1, 1) if text is None else text, persistent=False)
        self.unet = unet
        self.appearance = appearance
        self.controlnet = controlnet

    @classmethod
    def fresh(cls, seed: int) -> "Denoiser":
        """Untrained: the UNet on its direct path, the appearance encoder its copy, the ControlNet at default values.

        A ControlNet of zero convolutions, as published ones start, did not learn the pose in an hour at this size.
        """
        torch.manual_seed(seed)
        unet, appearance = UNet3D(MAGICANIMATE, UNET), AppearanceEncoder(MAGICANIMATE, UNET)
        controlnet = PoseControlNet(CONTROLNET)
        direct_path_unet(unet)
        appearance.load_state_dict({k: v for k, v in unet.state_dict().items() if k in appearance.state_dict()})
        silence_prompt(controlnet)
        for layer in (*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block):
            layer.reset_parameters()
        controlnet.controlnet_cond_embedding.conv_out.reset_parameters()
        denoiser = cls(unet, appearance, controlnet)
        for network in denoiser.children():
            skip_prompt(network)
        return denoiser

    def forward(
        self, noisy: Tensor, timesteps: Tensor, hints: Tensor, references: Tensor, *, frames: int, coupled: bool
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """noisy: (clips * frames, C, h, w); timesteps: (1,) or (clips,); hints: (clips * frames, 3, H, W) in 0..1;
        references: (R, C, h, w), latents of the LAST R clips' references; clips before them go without.
        coupled: frames of a clip see each other, through norms and motion modules; if not, each is a clip of its own.

        Returns the predicted noise and the reference tokens by block, one row per reference.
        """
        clips = len(noisy) // frames
        bank = (
            self.appearance(references, timesteps.expand(clips)[-len(references) :], self.text)
            if len(references)
            else {}
        )
        per_row = timesteps.expand(clips).repeat_interleave(frames)
        residuals = self.controlnet(noisy, per_row, self.text, self.controlnet.embed_hint(hints))
        read = bank if coupled else {block: tokens.repeat_interleave(frames, dim=0) for block, tokens in bank.items()}
        noise = self.unet(
            noisy,
            timesteps if coupled else per_row,
            self.text,
            frames=frames if coupled else 1,
            residuals=residuals,
            references=read or None,
        )
        return noise, bank
