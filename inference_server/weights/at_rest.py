"""Weights as they lie on disk: half precision in .safetensors, written once, so that a start reads half the bytes.

A file is replaced only after its successor was read back and compared. What a user has linked in is never changed.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from inference_server.engines.magicanimate.loader import Tree, WeightFile
from inference_server.errors import UserError
from inference_server.media.files import replacing
from inference_server.weights.checkpoint import read_tensors
from inference_server.weights.manifest import Manifest, hash_file

PICKLES = (".ckpt", ".bin")
EXACT = "pos_encoder.pe"
"""Tables of positions, which are computed and tiny, keep their precision."""


def convert_tree(folder: Path, tree: Tree) -> None:
    """Every fetched file, and every pickle, of a checked tree. May be ended at any moment and called again.

    Raises UserError `conversion-failed`; the original is then still there. Raises OSError when the disk is full.
    """
    manifest = Manifest(folder)
    for file in (file for files in tree.files.values() for file in files):
        state = manifest.state_of(file.path)
        fetched = bool(state and state.source)
        if file.path.suffix in PICKLES or fetched:
            convert_file(file, manifest)
    delete_leftovers(tree, manifest)


def convert_file(file: WeightFile, manifest: Manifest) -> None:
    target = file.path.with_name(resting_name(file.path.name))
    if target == file.path and is_at_rest(file):
        return
    state = manifest.state_of(file.path)
    original = state.original or state.sha256 if state else hash_file(file.path)
    with replacing(target) as temporary:
        write_half(file, temporary)
        # Told before the file takes its place: ended in between, it is converted again and not taken for a changed one.
        manifest.record(target, hash_file(temporary), state.source if state else "", original, content=temporary)
    if target != file.path:
        file.path.unlink()  # fetched by us, or our link to a user's file
        manifest.forget(file.path)


def is_at_rest(file: WeightFile) -> bool:
    return all(halved(key, tensor) is tensor for key, tensor in read_tensors(file.path).items())


def write_half(file: WeightFile, path: Path) -> None:
    """Write what the network takes of `file`, and compare. No file stays open, so that Windows can replace it."""
    tensors = file.rename(read_tensors(file.path))
    known = {**file.required, **file.optional}
    halves = {key: halved(key, tensor).contiguous() for key, tensor in tensors.items() if key in known}
    save_file(halves, path)
    check(path, halves, file.path)


def check(path: Path, expected: Mapping[str, Tensor], original: Path) -> None:
    """Read back what was written. Raises UserError `conversion-failed`."""
    written = load_file(path)
    same = written.keys() == expected.keys() and all(torch.equal(written[key], x) for key, x in expected.items())
    if not same:
        raise UserError(
            f"{original} could not be converted: what was written reads back differently",
            fix="Check the disk, then try again: the original file is kept.",
            code="conversion-failed",
        )


def halved(key: str, tensor: Tensor) -> Tensor:
    """The tensor in half precision, or as it is: what is small already, would overflow, or is a table of positions."""
    if tensor.dtype not in (torch.float32, torch.float64) or key.endswith(EXACT):
        return tensor
    half = tensor.half()
    return half if bool(half.isfinite().all()) else tensor


def resting_name(name: str) -> str:
    """transformers calls the same file pytorch_model.bin or model.safetensors; others only differ in their end."""
    if name.startswith("pytorch_model"):
        name = name.removeprefix("pytorch_")
    return str(Path(name).with_suffix(".safetensors"))


def delete_leftovers(tree: Tree, manifest: Manifest) -> None:
    """Originals of ours that a run left which was ended between writing a successor and deleting them."""
    for file in (file for files in tree.files.values() for file in files):
        for other in originals(file.path):
            state = manifest.state_of(other)
            if other != file.path and state is not None and state.source:
                other.unlink()
                manifest.forget(other)


def originals(path: Path) -> Iterator[Path]:
    for other in sorted(path.parent.iterdir()):
        if other.suffix in PICKLES and other.with_name(resting_name(other.name)) == path:
            yield other
