"""`weights add FOLDER`: use files that are already on this computer, by links, without copying them."""

import os
from collections.abc import Iterator
from pathlib import Path

from inference_server.errors import UserError
from inference_server.weights.catalogue import Entry, Part

# Folder names under which the parts are found in the wild, besides the tree's own place: a clone of a hub
# repository, the layout of the original project, or a plain folder.
ALIASES: dict[str, tuple[str, ...]] = {
    "MagicAnimate/appearance_encoder": ("appearance_encoder",),
    "MagicAnimate/densepose_controlnet": ("densepose_controlnet",),
    "MagicAnimate/temporal_attention": ("temporal_attention",),
    "stable-diffusion-v1-5/unet": ("unet",),
    "stable-diffusion-v1-5/text_encoder": ("text_encoder",),
    "stable-diffusion-v1-5/tokenizer": ("tokenizer",),
    "sd-vae-ft-mse": ("vae", "."),
}


CONFIG_CHARACTERS = 2**20
"""Of a config.json that are looked at; published ones have some hundred."""


def link_folder(entry: Entry, source: Path, tree: Path) -> list[Part]:
    """Link every part found in `source` into `tree`. Returns the parts that are still missing and wanted.

    Raises UserError `folder-missing`, `nothing-found` if not one part is there, or `cannot-link`.
    """
    if not source.is_dir():
        raise UserError(
            f"{source} is not a folder", fix="Name the folder that holds the weights.", code="folder-missing"
        )
    linked = 0
    for part in (*entry.parts, *entry.optional):
        found = find_part(part, source)
        if found is not None and part.find(tree) is None:
            target = tree / part.place / found.name
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(found.resolve(), target)
            linked += 1
    missing = [part for part in entry.parts if part.find(tree) is None]
    if not linked and missing:
        raise UserError(
            f"{source} holds none of the missing files, first {missing[0]}",
            fix="Name a folder with MagicAnimate, stable-diffusion-v1-5 and sd-vae-ft-mse in it, or one of these.",
            code="nothing-found",
        )
    return missing


def find_part(part: Part, source: Path) -> Path | None:
    for folder in _places(part, source):
        for name in part.names:
            path = folder / name
            if path.is_file() and not _is_other_network(part, path):
                return path
    return None


def _places(part: Part, source: Path) -> Iterator[Path]:
    yield source / part.place
    for alias in ALIASES.get(part.place, ()):
        yield source / alias
    top, _, rest = part.place.partition("/")
    if source.name == top:  # the folder named is itself the part's home
        yield source / rest


def _is_other_network(part: Part, path: Path) -> bool:
    """A folder called "." may hold any diffusers network: only one whose config says so is the VAE."""
    if part.place != "sd-vae-ft-mse":
        return False
    config = path.parent / "config.json"
    if not config.is_file():
        return True
    with config.open(encoding="utf-8", errors="replace") as file:
        return "AutoencoderKL" not in file.read(CONFIG_CHARACTERS)


def _link(source: Path, target: Path) -> None:
    """Symbolic where allowed (Windows may not), else hard, which ends at the border of a drive.

    Raises UserError `cannot-link`.
    """
    try:
        target.unlink(missing_ok=True)
        try:
            os.symlink(source, target)
        except OSError:
            os.link(source, target)
    except OSError as error:
        raise UserError(
            f"{source} cannot be linked into {target.parent}: {(error.strerror or str(error)).lower()}",
            fix="Put the weights on the drive of the data folder, choose a --data-dir on theirs, or allow symbolic "
            "links (Windows: Settings > System > For developers > Developer Mode).",
            code="cannot-link",
        ) from error
