"""Weight sets: fetched from a hub that breaks off, converted, checked, adopted from disk, and never trusted."""

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny
from hypothesis import given
from hypothesis import strategies as st

from inference_server.errors import UserError
from inference_server.models.layouts import unwrap_state_dict
from inference_server.weights import download
from inference_server.weights.adopt import link_folder
from inference_server.weights.catalogue import CATALOGUE, REVISIONS, SD15_REPO, find_entry
from inference_server.weights.library import WeightsLibrary
from inference_server.weights.manifest import Manifest, hash_file
from tests.inference_server.conftest import wait_until
from tests.inference_server.weights.hub import COMMIT, Hub, published

ENTRY = find_entry("magicanimate")
CKPT = "temporal_attention/temporal_attention.ckpt"
UNET = "stable-diffusion-v1-5/unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def hub(golden_weights, monkeypatch):
    server = Hub(published(golden_weights, ENTRY.parts))
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield server
    server.close()


@pytest.fixture
def library(tmp_path) -> WeightsLibrary:
    (tmp_path / "weights").mkdir()
    library = WeightsLibrary(tmp_path / "weights")
    yield library
    library.close()


def finish(library: WeightsLibrary):
    wait_until(lambda: not library.is_busy("magicanimate"), seconds=90)
    return library.task("magicanimate")


def test_a_set_is_fetched_over_a_line_that_breaks_then_converted_and_checked(hub, library, golden_weights):
    assert library.state("magicanimate") == "missing"
    with pytest.raises(UserError) as caught:
        library.start_download("magicanimate", accept_licence=False)
    assert caught.value.code == "licence-not-accepted"
    # A file that holds more than motion modules, and is larger than the 10 MB that the hub's client writes at a time.
    path = golden_weights / "MagicAnimate" / CKPT
    motion = unwrap_state_dict(torch.load(path, weights_only=True))
    content = {"state_dict": {**motion, "optimizer.state": torch.zeros(4_000_000)}}
    torch.save(content, buffer := io.BytesIO())
    hub.files["zcxu-eric/MagicAnimate", CKPT] = buffer.getvalue()
    hub.cut_after = 12_000_000
    library.start_download("magicanimate", accept_licence=True)
    task = finish(library)
    assert task.problem is None, task.problem
    assert task.state == "done"
    assert any(spec.startswith("bytes=") for _, _, spec in hub.requests), "the cut file goes on where it was"
    assert task.done_bytes == task.total_bytes == sum(map(len, hub.files.values()))
    tree = library.folder_of("magicanimate")
    names = [path.name for path in (tree / "MagicAnimate/temporal_attention").iterdir()]
    assert names == ["temporal_attention.safetensors"]
    assert not (tree / ".download").exists()
    assert hub.revisions == {repo: commit or COMMIT for repo, commit in REVISIONS.items() if repo in hub.revisions}
    assert json.loads((library.root / "revisions.json").read_text()) == {"zcxu-eric/MagicAnimate": COMMIT}
    assert Manifest(tree).files[UNET].source.startswith(f"{SD15_REPO}@{REVISIONS[SD15_REPO]}/unet/")
    assert any("optimizer.state" in note for note in task.notes)
    assert library.state("magicanimate") == "ready"
    assert WeightsLibrary(library.root).accepted("magicanimate")

    flipped = bytearray((tree / UNET).read_bytes())
    flipped[-1] ^= 1
    (tree / UNET).write_bytes(flipped)
    assert library.state("magicanimate") == "invalid", "size and time tell without hashing"
    library.start("magicanimate", "verify")
    assert finish(library).problem["code"] == "weights-changed"
    library.delete("magicanimate")
    assert library.state("magicanimate") == "missing"
    assert not tree.exists()


def test_optional_parts_belong_to_a_set_that_has_them(library, golden_weights, tmp_path):
    tree = library.folder_of("magicanimate")
    assert link_folder(ENTRY, golden_weights, tree) == []
    decoder = tmp_path / "taesd"
    vae = json.loads((golden_weights / "sd-vae-ft-mse" / "config.json").read_text())
    widths = (8,) * len(vae["block_out_channels"])
    AutoencoderTiny(
        encoder_block_out_channels=widths, decoder_block_out_channels=widths,
        num_encoder_blocks=(1,) * len(widths), num_decoder_blocks=(1,) * len(widths),
    ).save_pretrained(decoder)  # fmt: skip
    assert link_folder(ENTRY, decoder, tree) == []
    library.start("magicanimate", "add")
    assert finish(library).problem is None
    assert library.state("magicanimate") == "ready"
    assert "taesd/diffusion_pytorch_model.safetensors" in Manifest(tree).files
    (decoder / "diffusion_pytorch_model.safetensors").write_bytes(b"")
    assert library.state("magicanimate") == "invalid"


def test_a_damaged_download_is_thrown_away(hub, library):
    hub.false_hash = "unet/diffusion_pytorch_model.safetensors"
    library.start_download("magicanimate", accept_licence=True)
    task = finish(library)
    assert task.problem["code"] == "download-damaged"
    assert not (library.folder_of("magicanimate") / UNET).exists()
    assert library.state("magicanimate") == "missing"


def test_a_missing_hub_and_offline_mode_are_said(hub, library, monkeypatch):
    hub.close()
    library.start_download("magicanimate", accept_licence=True)
    assert finish(library).problem["code"] == "hub-unreachable"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    library.start("magicanimate", "pull")
    assert finish(library).problem["code"] == "offline"
    hub._server.server_close()


def test_space_is_checked_before_anything_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 0, 10**9))
    with pytest.raises(UserError) as caught:
        download._check_space(ENTRY, tmp_path / "tree", [part.size for part in (*ENTRY.parts, *ENTRY.optional)])
    assert caught.value.code == "not-enough-space"
    assert "16.8 GB" in str(caught.value), "the files, and the largest in half precision beside it"
    assert round(ENTRY.disk_bytes / 1e9, 1) == 16.8


class Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def test_a_pickle_with_code_is_refused_and_not_run(golden_weights, library, tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(golden_weights, mine)
    marker = tmp_path / "run"
    (mine / "MagicAnimate" / CKPT).write_bytes(pickle.dumps({"state_dict": Payload(marker)}))
    assert link_folder(ENTRY, mine, library.folder_of("magicanimate")) == []
    library.start("magicanimate", "add")
    task = finish(library)
    assert task.problem["code"] == "weights-unreadable"
    assert "temporal_attention.ckpt" in task.problem["detail"]
    assert not marker.exists()
    assert library.state("magicanimate") == "invalid"


def test_add_links_converts_and_leaves_the_users_files_alone(golden_weights, tmp_path):
    before = {path: path.read_bytes() for path in golden_weights.rglob("*") if path.is_file()}
    command = [sys.executable, "-m", "inference_server", "weights", "--data-dir", str(tmp_path / "data")]
    done = subprocess.run([*command, "add", str(golden_weights)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    tree = tmp_path / "data" / "weights" / "magicanimate"
    assert (tree / UNET).is_symlink()
    assert (tree / "MagicAnimate/temporal_attention/temporal_attention.safetensors").is_file()
    assert {path: path.read_bytes() for path in golden_weights.rglob("*") if path.is_file()} == before
    listed = subprocess.run([*command, "list"], capture_output=True, text=True).stdout
    assert "magicanimate   ready" in listed
    refused = subprocess.run([*command, "pull"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert refused.returncode == 2
    assert "--accept-licence" in refused.stderr
    assert "OpenRAIL" in refused.stdout.replace(" ", "").replace("OpenRAIL-M", "OpenRAIL")


def test_folders_are_found_as_people_have_them(golden_weights, tmp_path):
    layouts = {
        "whole": [golden_weights],
        "parts": [
            golden_weights / "MagicAnimate",
            golden_weights / "stable-diffusion-v1-5",
            golden_weights / "sd-vae-ft-mse",
        ],
    }
    for name, folders in layouts.items():
        tree = tmp_path / name
        missing = [link_folder(ENTRY, folder, tree) for folder in folders]
        assert missing[-1] == [], name
        assert [part for part in ENTRY.parts if part.find(tree) is None] == []
    with pytest.raises(UserError, match="holds none"):
        link_folder(ENTRY, tmp_path, tmp_path / "tree")
    with pytest.raises(UserError, match="not a folder"):
        link_folder(ENTRY, tmp_path / "gone", tmp_path / "tree")


def test_a_vae_alone_is_not_taken_for_a_unet(golden_weights, tmp_path):
    missing = link_folder(ENTRY, golden_weights / "sd-vae-ft-mse", tmp_path / "tree")
    assert {part.place for part in ENTRY.parts} - {part.place for part in missing} == {"sd-vae-ft-mse"}


def test_every_part_of_the_catalogue_says_where_it_comes_from():
    for entry in CATALOGUE.values():
        assert entry.licence
        for part in (*entry.parts, *entry.optional):
            assert entry.bundled or (part.repo and part.source and part.size)
    assert 14e9 < ENTRY.download_bytes < 15e9


def test_the_demo_set_is_neither_fetched_nor_deleted(library):
    for action in (library.delete, lambda name: library.start_download(name, accept_licence=True)):
        with pytest.raises(UserError) as caught:
            action("demo")
        assert caught.value.code == "bundled"


@given(st.binary(max_size=300))
def test_a_damaged_manifest_is_taken_anew(tmp_path_factory, data):
    tree = tmp_path_factory.getbasetemp() / "tree"
    tree.mkdir(exist_ok=True)
    (tree / "manifest.json").write_bytes(data)
    try:
        expected = json.loads(data)
    except ValueError:
        expected = {}
    assert expected or (Manifest(tree).files, Manifest(tree).checked) == ({}, False)


def test_a_manifest_notices_a_changed_file(tmp_path):
    path = tmp_path / "a" / "weights.bin"
    path.parent.mkdir()
    path.write_bytes(b"1234")
    Manifest(tmp_path).record(path, hash_file(path))
    state = Manifest(tmp_path).state_of(path)
    assert state.fits(path)
    path.write_bytes(b"12345")
    assert not state.fits(path)
