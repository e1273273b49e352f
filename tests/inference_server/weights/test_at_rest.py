"""Weights at rest: half precision, written once, the original deleted only when its successor reads back the same."""

import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference_server.engines.magicanimate.loader import check_tree, load_networks
from inference_server.errors import UserError
from inference_server.models.layouts import unwrap_state_dict
from inference_server.weights import at_rest
from inference_server.weights.manifest import Manifest, hash_file

CKPT = "MagicAnimate/temporal_attention/temporal_attention.ckpt"
UNET = "stable-diffusion-v1-5/unet/diffusion_pytorch_model.safetensors"
TEXT = "stable-diffusion-v1-5/text_encoder/model.safetensors"


def as_fetched(folder):
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "manifest.json":
            Manifest(folder).record(path, hash_file(path), f"a/repository@{'c' * 40}/{path.name}")


@pytest.fixture
def tree(golden_weights, tmp_path):
    """Fetched in float32, as published: numbers that half precision rounds, one that it cannot hold."""
    folder = shutil.copytree(golden_weights, tmp_path / "tree")
    tensors = {key: tensor.float() + 1e-5 for key, tensor in load_file(folder / UNET).items()}
    tensors["conv_in.bias"][0] = 1e6
    save_file(tensors, folder / UNET)
    torch.save({k: x.float() for k, x in load_file(folder / TEXT).items()}, folder / "x.bin")
    (folder / TEXT).unlink()
    (folder / "x.bin").rename((folder / TEXT).with_name("pytorch_model.bin"))
    as_fetched(folder)
    return folder


def convert(folder):
    at_rest.convert_tree(folder, check_tree(folder))


def test_a_fetched_tree_comes_to_rest_in_half_precision_and_loads_the_same(tree):
    before = load_networks(tree, torch.float16)
    published, size = Manifest(tree).files[UNET].sha256, (tree / UNET).stat().st_size
    convert(tree)
    tensors = load_file(tree / UNET)
    assert {tensor.dtype for key, tensor in tensors.items() if key != "conv_in.bias"} == {torch.float16}
    assert tensors["conv_in.bias"].dtype == torch.float32, "it would have become infinite"
    assert tensors["conv_in.bias"][0] == 1e6
    assert (tree / UNET).stat().st_size < 0.6 * size
    after = load_networks(tree, torch.float16)
    for name, network in before.modules.items():
        found = after.modules[name].state_dict()
        assert all(torch.equal(found[key], x) for key, x in network.state_dict().items()), name
    names = {path.name for place in (CKPT, TEXT) for path in (tree / place).parent.iterdir()}
    assert names == {"temporal_attention.safetensors", "model.safetensors", "config.json"}
    state = Manifest(tree).files[UNET]
    assert state.fits(tree / UNET)
    assert state.original == published, "what was fetched can still be named"
    assert state.source.startswith("a/repository@")
    assert CKPT not in Manifest(tree).files


def test_tables_of_positions_stay_exact(tree, golden_weights):
    stored = unwrap_state_dict(torch.load(golden_weights / CKPT, weights_only=True))
    convert(tree)
    tables = {k: x for k, x in load_file((tree / CKPT).with_suffix(".safetensors")).items() if "pos_encoder" in k}
    assert tables
    exact = {key.removeprefix("module.").removeprefix("unet."): tensor for key, tensor in stored.items()}
    assert all(torch.equal(table, exact[key]) for key, table in tables.items())


def test_a_second_time_nothing_is_written(tree):
    convert(tree)
    times = {path: path.stat().st_mtime_ns for path in tree.rglob("*.safetensors")}
    convert(tree)
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*.safetensors")} == times


def test_what_reads_back_differently_is_not_taken(tree, monkeypatch):
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}

    def spoiled(tensors, path):
        first = next(key for key, x in tensors.items() if x.dtype == torch.float16)
        save_file({**tensors, first: tensors[first] + 1}, path)

    monkeypatch.setattr(at_rest, "save_file", spoiled)
    with pytest.raises(UserError) as caught:
        convert(tree)
    assert caught.value.code == "conversion-failed"
    assert {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("at", ["replace", "unlink"])
def test_ended_at_a_bad_moment_it_is_done_by_the_next_run(tree, monkeypatch, at):
    class Killed(BaseException):
        pass

    def killed(*_args, **_options):
        raise Killed

    calls = []
    real = os.replace

    def replace(source, target):
        calls.append(target)
        if at == "replace" and str(target).endswith(".safetensors"):
            raise Killed
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("inference_server.media.files.os.replace", replace)
        if at == "unlink":
            patch.setattr(at_rest, "delete_leftovers", killed)
            patch.setattr(at_rest.Manifest, "forget", killed)
            patch.setattr("pathlib.Path.unlink", lambda path, **_: killed() if path.suffix == ".ckpt" else None)
        with pytest.raises(Killed):
            convert(tree)
    convert(tree)
    manifest = Manifest(tree)
    assert not list(tree.rglob("*.ckpt"))
    assert not list(tree.rglob("*.bin"))
    for path in tree.rglob("*.safetensors"):
        assert manifest.state_of(path).sha256 == hash_file(path)
    load_networks(tree, torch.float32)


def test_linked_files_of_a_user_stay_as_they_are(golden_weights, tmp_path):
    mine = shutil.copytree(golden_weights, tmp_path / "mine")
    tensors = {key: tensor.float() + 1e-5 for key, tensor in load_file(mine / UNET).items()}
    save_file(tensors, mine / UNET)
    before = {path: path.read_bytes() for path in mine.rglob("*") if path.is_file()}
    tree = tmp_path / "tree"
    for path in before:
        target = tree / path.relative_to(mine)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)
    convert(tree)
    assert {path: path.read_bytes() for path in mine.rglob("*") if path.is_file()} == before
    assert (tree / UNET).is_symlink()
    assert (tree / CKPT).with_suffix(".safetensors").is_file(), "a pickle is read once, then never again"
