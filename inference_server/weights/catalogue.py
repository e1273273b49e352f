"""The weight sets that there are: where each file comes from, where it goes and under which licence."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import inference_server.assets
from inference_server.errors import UserError

DIFFUSERS_NAMES = tuple(
    f"diffusion_pytorch_model{end}" for end in (".safetensors", ".fp16.safetensors", ".bin", ".fp16.bin")
)
TEXT_ENCODER_NAMES = ("model.safetensors", "model.fp16.safetensors", "pytorch_model.bin", "pytorch_model.fp16.bin")
TEMPORAL_NAMES = ("temporal_attention.safetensors", "temporal_attention.ckpt")


@dataclass(frozen=True)
class Part:
    """One file of a set.

    place: folder in the tree. names: spellings that the loader accepts, the preferred one first.
    repo, source: where it is on the hub. size: bytes, for the check of free space.
    """

    place: str
    names: tuple[str, ...]
    repo: str = ""
    source: str = ""
    size: int = 0

    def find(self, tree: Path) -> Path | None:
        """The file in a tree, under the first of its names that is there."""
        return next((path for name in self.names if (path := tree / self.place / name).is_file()), None)

    @property
    def fetched(self) -> str:
        """Path in the tree under which the hub's file is put."""
        return f"{self.place}/{self.source.rpartition('/')[2]}"

    def __str__(self) -> str:
        return f"{self.place}/{self.names[0]}"


@dataclass(frozen=True)
class Entry:
    """A weight set.

    bundled: the folder that ships with the server, for a set that needs no download. optional: parts that the set is
    whole without; they are fetched and checked with it.
    """

    id: str
    title: str
    demo: bool
    licence: str
    licence_url: str
    parts: tuple[Part, ...]
    bundled: Path | None = None
    optional: tuple[Part, ...] = ()

    @property
    def download_bytes(self) -> int:
        return sum(part.size for part in (*self.parts, *self.optional))

    @property
    def disk_bytes(self) -> int:
        """The most that the disk holds while the set is fetched: all originals, and the largest in half precision."""
        return self.download_bytes + room_to_convert(part.size for part in (*self.parts, *self.optional))

    @property
    def resting_bytes(self) -> int:
        """About what stays: originals of full precision become half as large."""
        return self.download_bytes // 2

    def files(self, tree: Path) -> list[Path | None]:
        """Every file of the set in a tree, None for one that is missing; of optional ones those that are there."""
        return [part.find(tree) for part in self.parts] + [path for part in self.optional if (path := part.find(tree))]


def room_to_convert(sizes: Iterable[int]) -> int:
    """Bytes beside the originals while the largest is converted."""
    return max(sizes, default=0) // 2


MAGICANIMATE_REPO = "zcxu-eric/MagicAnimate"
# The original runwayml repository was removed in August 2024; this mirror is the one that diffusers' own
# documentation names since.
SD15_REPO = "stable-diffusion-v1-5/stable-diffusion-v1-5"
VAE_REPO = "stabilityai/sd-vae-ft-mse"
TAESD_REPO = "madebyollin/taesd"

# Commits that public projects which use these files pin. None: no commit is known to hold all files of the set; the
# one that the first fetch meets is recorded, and is the pin from then on.
REVISIONS: dict[str, str | None] = {
    MAGICANIMATE_REPO: None,
    SD15_REPO: "451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
    VAE_REPO: "31f26fdeee1355a5c34592e401dd41e45d25a493",
    TAESD_REPO: "614f76814bbe30edbe2e627ace1c2234c81a2c0e",
}

# Sizes: float32 files of known parameter counts. temporal_attention.ckpt is reported with 5.11 GB, which is what a UNet
# and its motion modules take in float32, and with 1.67 GB, the motion modules alone; the larger one is planned for.
# What it holds is decided by its names when it is read, see models.layouts.rename_temporal.
_OWN = "MagicAnimate"
_BASE = "stable-diffusion-v1-5"
MAGICANIMATE_PARTS = (
    Part(f"{_OWN}/appearance_encoder", ("config.json",), MAGICANIMATE_REPO, "appearance_encoder/config.json", 1790),
    Part(
        f"{_OWN}/appearance_encoder",
        DIFFUSERS_NAMES,
        MAGICANIMATE_REPO,
        "appearance_encoder/diffusion_pytorch_model.safetensors",
        3_428_266_240,
    ),
    Part(f"{_OWN}/densepose_controlnet", ("config.json",), MAGICANIMATE_REPO, "densepose_controlnet/config.json", 1330),
    Part(
        f"{_OWN}/densepose_controlnet",
        DIFFUSERS_NAMES,
        MAGICANIMATE_REPO,
        "densepose_controlnet/diffusion_pytorch_model.safetensors",
        1_445_116_480,
    ),
    Part(
        f"{_OWN}/temporal_attention",
        TEMPORAL_NAMES,
        MAGICANIMATE_REPO,
        "temporal_attention/temporal_attention.ckpt",
        5_110_000_000,
    ),
    Part(f"{_BASE}/unet", ("config.json",), SD15_REPO, "unet/config.json", 1580),
    Part(f"{_BASE}/unet", DIFFUSERS_NAMES, SD15_REPO, "unet/diffusion_pytorch_model.safetensors", 3_438_083_856),
    Part(f"{_BASE}/text_encoder", ("config.json",), SD15_REPO, "text_encoder/config.json", 620),
    Part(f"{_BASE}/text_encoder", TEXT_ENCODER_NAMES, SD15_REPO, "text_encoder/model.safetensors", 492_241_920),
    Part(f"{_BASE}/tokenizer", ("vocab.json",), SD15_REPO, "tokenizer/vocab.json", 1_060_000),
    Part(f"{_BASE}/tokenizer", ("merges.txt",), SD15_REPO, "tokenizer/merges.txt", 525_000),
    Part(f"{_BASE}/tokenizer", ("tokenizer_config.json",), SD15_REPO, "tokenizer/tokenizer_config.json", 806),
    Part(f"{_BASE}/tokenizer", ("special_tokens_map.json",), SD15_REPO, "tokenizer/special_tokens_map.json", 472),
    Part("sd-vae-ft-mse", ("config.json",), VAE_REPO, "config.json", 547),
    Part("sd-vae-ft-mse", DIFFUSERS_NAMES, VAE_REPO, "diffusion_pytorch_model.safetensors", 334_643_276),
)

# A tiny autoencoder for the latents of Stable Diffusion 1.x: drafts and previews are decoded by it where it is there.
TAESD_PARTS = (
    Part("taesd", ("config.json",), TAESD_REPO, "config.json", 550),
    Part("taesd", DIFFUSERS_NAMES, TAESD_REPO, "diffusion_pytorch_model.safetensors", 9_780_252),
)

ENTRIES = (
    Entry(
        id="magicanimate",
        title="MagicAnimate",
        demo=False,
        licence="CreativeML Open RAIL-M (Stable Diffusion 1.5), BSD-3-Clause (MagicAnimate), MIT (VAE, TAESD)",
        licence_url="https://huggingface.co/spaces/CompVis/stable-diffusion-license",
        parts=MAGICANIMATE_PARTS,
        optional=TAESD_PARTS,
    ),
    Entry(
        id="demo",
        title="Demo weights",
        demo=True,
        licence="GPL-3.0-or-later",
        licence_url="https://www.gnu.org/licenses/gpl-3.0.html",
        parts=tuple(Part(part.place, part.names) for part in MAGICANIMATE_PARTS),
        bundled=Path(inference_server.assets.__file__).parent / "demo",
    ),
)
CATALOGUE = {entry.id: entry for entry in ENTRIES}


def find_entry(weights: str) -> Entry:
    """Raises UserError `unknown-weights` with the known ids."""
    try:
        return CATALOGUE[weights]
    except KeyError:
        raise UserError(
            f"There are no weights {weights!r}", fix=f"Choose one of: {', '.join(CATALOGUE)}.", code="unknown-weights"
        ) from None
