"""Weight files as strangers have them: a whole UNet beside the motion modules, entries too many, too few, misshapen."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference_server.engines.magicanimate.loader import check_tree, load_networks
from inference_server.errors import UserError
from inference_server.models.layouts import rename_temporal, unwrap_state_dict

TEMPORAL = "MagicAnimate/temporal_attention/temporal_attention.ckpt"
UNET = "stable-diffusion-v1-5/unet/diffusion_pytorch_model.safetensors"
CONTROLNET = "MagicAnimate/densepose_controlnet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def tree(golden_weights, tmp_path):
    return shutil.copytree(golden_weights, tmp_path / "tree")


@pytest.fixture
def motion(golden_weights):
    content = unwrap_state_dict(torch.load(golden_weights / TEMPORAL, weights_only=True))
    return {key.removeprefix("module.").removeprefix("unet."): tensor for key, tensor in content.items()}


@pytest.fixture
def tuned(tree):
    """A fine-tuned UNet: every weight of the tree's, moved."""
    return {key: tensor + 0.125 for key, tensor in load_file(tree / UNET).items()}


def store(tree, tensors):
    torch.save({"state_dict": tensors, "global_step": 1, "epoch": 0}, tree / TEMPORAL)


def as_the_original(network, stored):
    """What the published loader does, by torch's own non-strict loading."""
    stored = {key.removeprefix("module."): tensor.float() for key, tensor in stored.items()}
    if network.load_state_dict(stored, strict=False).unexpected_keys:
        motion = {key.removeprefix("unet."): x for key, x in stored.items() if "motion_modules" in key}
        network.load_state_dict(motion, strict=False)
    return network.state_dict()


@pytest.mark.parametrize("more", [False, True], ids=["nothing else", "and an entry too many"])
@pytest.mark.parametrize("prefix", ["", "module.", "unet.", "module.unet."])
def test_a_unet_beside_the_motion_modules_is_loaded_as_the_original_does(
    golden_weights, tree, motion, tuned, prefix, more
):
    stored = {prefix + key: tensor for key, tensor in {**motion, **tuned}.items()}
    if more:
        stored["optimizer.step"] = torch.zeros(1)
    store(tree, stored)
    expected = as_the_original(load_networks(golden_weights, torch.float32).unet, stored)
    networks = load_networks(tree, torch.float32)
    found = networks.unet.state_dict()
    assert all(torch.equal(found[key], tensor) for key, tensor in expected.items())
    # What the rule comes to: weights under `unet.` are the training code's own copies, and not taken.
    taken = torch.equal(found["conv_in.weight"], tuned["conv_in.weight"].float())
    assert taken == ("unet." not in prefix)
    assert bool(networks.notes) == (more or not taken)


def test_a_fine_tuned_unet_changes_the_frames(golden_weights, tree, motion, tuned):
    """The tree's own UNet is not what runs: the reason why the rule matters."""
    store(tree, {**motion, **tuned})
    plain, other = (load_networks(folder, torch.float32).unet for folder in (golden_weights, tree))
    assert not torch.equal(plain.conv_out.weight, other.conv_out.weight)
    assert torch.equal(plain.conv_out.weight + 0.125, other.conv_out.weight)


def test_entries_too_many_are_told_and_left_out(golden_weights, tree):
    tensors = load_file(tree / CONTROLNET)
    save_file({**tensors, "ema.decay": torch.ones(1), "ema.step": torch.ones(1)}, tree / CONTROLNET)
    networks = load_networks(tree, torch.float32)
    assert networks.notes == (
        "diffusion_pytorch_model.safetensors: 2 entries that the network does not have, first ema.decay: not used",
    )
    expected = load_networks(golden_weights, torch.float32).controlnet.state_dict()
    assert all(torch.equal(expected[key], x) for key, x in networks.controlnet.state_dict().items())


def test_what_is_missing_or_misshapen_is_refused_by_name(tree, motion, tuned):
    first, *_ = motion
    gone = {key: tensor for key, tensor in motion.items() if key != first}
    wide = {**motion, "conv_in.weight": torch.zeros(3, 3)}
    for stored, said in ((gone, first), (wide, "conv_in.weight with (3, 3)"), (tuned, "motion_modules")):
        store(tree, stored)
        with pytest.raises(UserError) as caught:
            check_tree(tree)
        assert caught.value.code == "weights-mismatch"
        assert said in caught.value.message
        assert "temporal_attention.ckpt" in caught.value.message


def test_names_alone_decide_what_is_taken():
    network = {"conv_in.weight", "down_blocks.0.motion_modules.1.norm.weight"}
    for prefix in ("", "module.", "unet.", "module.unet."):
        stored = {f"{prefix}{key}": key for key in network}
        renamed = rename_temporal(stored, network)
        assert renamed["down_blocks.0.motion_modules.1.norm.weight"] == "down_blocks.0.motion_modules.1.norm.weight"
        assert ("conv_in.weight" in renamed) == ("unet." not in prefix)
