"""Every network against vectors made by the original code, at sizes that the files themselves tell."""

import pytest
import torch
from torch import Tensor

pytestmark = pytest.mark.golden


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture
def unet(golden_networks):
    unet = golden_networks.unet
    unet.context.sharing = True
    unet.context.text_cache.clear()
    return unet


def fold(clips: Tensor) -> Tensor:
    """(B, C, F, h, w) -> (B * F, C, h, w)."""
    return clips.transpose(1, 2).flatten(0, 1)


def unfold(rows: Tensor, frames: int) -> Tensor:
    return rows.unflatten(0, (-1, frames)).transpose(1, 2)


def difference(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return (a - b).abs().max().item()


def close_for(reference: Tensor) -> float:
    """The ControlNet's limit: float noise grows with activations (5e-4 at std 1, 3e-3 at std 6 to 8)."""
    return 5e-4 if reference.std() < 5 else 3e-3


def residuals_of(control: dict[str, Tensor], rows: slice = slice(None)):
    down = sorted(key for key in control if key.startswith("down_") and "scale" not in key)
    return [control[key][rows] for key in down], control["mid"][rows]


def test_text_of_the_empty_prompt(golden_networks, golden):
    stored = golden("text")
    ids = golden_networks.tokenizer("", padding="max_length", max_length=stored["input_ids"].shape[1]).input_ids
    assert torch.equal(torch.tensor([ids]), stored["input_ids"])
    embedded = golden_networks.text_encoder(torch.tensor([ids])).last_hidden_state
    for row in stored["text_embeddings_uncond_cond"]:
        assert difference(embedded[0], row) < 5e-5


def test_motion_modules(unet, golden):
    stored = golden("motion_module")
    inputs = [key for key in stored if "|in" in key]
    assert inputs
    for key in inputs:
        frames = stored[key].shape[2]
        unet.context.frames = frames
        out = unfold(unet.get_submodule(key.split("|")[0])(fold(stored[key])), frames)
        assert difference(out, stored[key.replace("|in", "|out")]) < 5e-5, key


def test_controlnet(golden_networks, golden):
    stored, controlnet = golden("controlnet_forward"), golden_networks.controlnet
    hint = controlnet.embed_hint(stored["controlnet_cond_u8_nhwc"].permute(0, 3, 1, 2) / 255)
    assert difference(hint, stored["hint_embedding"]) < 5e-5
    arguments = stored["sample_bf_c_h_w"], stored["timestep"][None], stored["encoder_hidden_states"], hint
    down, mid = controlnet(*arguments)
    expected_down, expected_mid = residuals_of(stored)
    for ours, theirs in zip([*down, mid], [*expected_down, expected_mid], strict=True):
        assert difference(ours, theirs) < close_for(theirs)
    scaled, scaled_mid = controlnet(*arguments, scale=0.7)
    for number, ours in [*((f"down_{i:02}", d) for i, d in enumerate(scaled)), ("mid", scaled_mid)]:
        theirs = stored.get(f"{number}_scale_0.7")
        assert theirs is None or difference(ours, theirs) < close_for(theirs)


def test_unet_alone_and_with_residuals(unet, golden):
    stored, control = golden("unet3d_forward"), golden("controlnet_forward")
    frames = stored["sample"].shape[2]
    arguments = fold(stored["sample"]), stored["timestep"][None], stored["encoder_hidden_states"]
    probes: dict[str, Tensor] = {}

    def keep(key: str):
        return lambda _module, _inputs, out: probes.update({key: out[0] if isinstance(out, tuple) else out})

    hooks = [
        unet.get_submodule(key.split("|")[1]).register_forward_hook(keep(key))
        for key in stored
        if key.startswith("probe|") and "mid_block" not in key  # the mid block's layers are called one by one
    ]
    plain = unet(*arguments, frames=frames)
    for hook in hooks:
        hook.remove()
    assert probes
    for key, out in probes.items():
        limit = 5e-5 * max(1.0, stored[key].std().item())  # inside the network activations are large
        assert difference(unfold(out, frames), stored[key]) < limit, key
    assert difference(unfold(plain, frames), stored["output"]) < 5e-5
    controlled = unet(*arguments, frames=frames, residuals=residuals_of(control))
    assert difference(unfold(controlled, frames), stored["output_with_controlnet_residuals"]) < 5e-5


@pytest.mark.parametrize(("name", "round_bank"), [("reference_forward", False), ("reference_forward_fp16bank", True)])
def test_reference_attention(unet, golden_networks, golden, name, round_bank):
    stored, control = golden(name), golden("controlnet_forward")
    encoder = golden_networks.appearance
    encoder.context.sharing = True
    text, timestep = stored["encoder_hidden_states"], stored["timestep"][None]
    bank = encoder(stored["reference_latents"].expand(2, -1, -1, -1), timestep, text)
    banks = [key for key in stored if key.endswith(".bank")]
    assert banks or round_bank
    for key in banks:
        assert difference(bank[key.removesuffix(".bank")], stored[key]) < 5e-5
    if round_bank:
        bank = {block: tokens.half().float() for block, tokens in bank.items()}
    frames = stored["sample"].shape[2]
    down, mid = residuals_of(control, slice(frames, None))
    out = unet(
        fold(stored["sample"]),
        timestep,
        text,
        frames=frames,
        residuals=([torch.cat([x, x]) for x in down], torch.cat([mid, mid])),
        references={block: tokens[1:] for block, tokens in bank.items()},
    )
    assert difference(unfold(out, frames), stored["output_uncond_then_cond"]) < 5e-5


def test_sharing_between_guidance_halves_changes_nothing(unet, golden):
    stored, control = golden("reference_forward"), golden("controlnet_forward")
    frames = stored["sample"].shape[2]
    sample, timestep = fold(stored["sample"][:1]), stored["timestep"][None]
    text = stored["encoder_hidden_states"][1:]
    references = {key.removesuffix(".bank"): tokens[1:] for key, tokens in stored.items() if key.endswith(".bank")}
    outputs = []
    for each in (False, True):
        unet.context.sharing = each
        unet.context.text_cache.clear()
        read = unet.project_references(references) if each else references
        outputs.append(
            unet(
                sample,
                timestep,
                text,
                frames=frames,
                residuals=residuals_of(control, slice(0, frames)),
                references=read,
                guidance=True,
            )
        )
    assert difference(*outputs) < 5e-5
    assert difference(*outputs[0].chunk(2)) > 1e-3  # the halves do differ
