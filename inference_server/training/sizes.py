"""The demo networks' sizes: the published architecture, narrow. These are the config.json files that are shipped."""

from typing import Any

LATENT_CHANNELS = 8
_WIDTHS = (32, 64, 64, 64)
_PROMPT_WIDTH = 32

VAE: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": (8, 16, 32, 64),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 1,
    "latent_channels": LATENT_CHANNELS,
    "norm_num_groups": 2,  # 4 channels a group at least: with fewer, normalisation wipes out colour
    "act_fn": "silu",
}

UNET: dict[str, Any] = {
    "in_channels": LATENT_CHANNELS,
    "out_channels": LATENT_CHANNELS,
    "block_out_channels": _WIDTHS,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "layers_per_block": 2,
    "attention_head_dim": 4,  # four HEADS, by the published configs' misnomer
    "cross_attention_dim": _PROMPT_WIDTH,
    "norm_num_groups": 4,
    "norm_eps": 1e-5,
    "act_fn": "silu",
    "downsample_padding": 1,
    "mid_block_scale_factor": 1,
    "center_input_sample": False,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
}

CONTROLNET: dict[str, Any] = {
    **{k: v for k, v in UNET.items() if k not in ("out_channels", "up_block_types", "center_input_sample")},
    "conditioning_embedding_out_channels": (8, 16, 32, 64),
    "controlnet_conditioning_channel_order": "rgb",
}

TEXT: dict[str, Any] = {
    "hidden_size": _PROMPT_WIDTH,
    "projection_dim": _PROMPT_WIDTH,
    "intermediate_size": 2 * _PROMPT_WIDTH,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
