"""The recipe: everything from which the same frames come again."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from inference_server import __version__
from inference_server.engines.protocol import EngineSettings
from inference_server.media.files import write_bytes

FORMAT = "magicanimate-recipe/1"
PACKAGES = ("torch", "diffusers", "transformers", "numpy", "pillow", "av")


def make_recipe(
    *,
    engine: str,
    weights: str,
    settings: EngineSettings,
    reference: str,
    tracks: Mapping[str, Sequence[str]],
    frames: int,
    size: tuple[int, int],
    fps: float,
    description: Mapping[str, Any],
    inputs: Mapping[str, Any] | None = None,
    base: Mapping[str, Any] | None = None,
    signer: str = "",
) -> dict[str, Any]:
    """A JSON-ready dictionary that tells how a result was made.

    reference: sha256 of the picture's file. tracks: name -> sha256 of its files, in order (one video is one file).
    size: width, height in pixels. description: `Engine.describe()`, with device, dtype and weight hashes.
    inputs: how files became arrays where that is not obvious, for example `{"fit": "crop"}`.
    signer: fingerprint of the certificate with which the files' content credentials are signed.
    base: for a partial run, the recipe's job and frames that were computed anew: `{"job", "computed"}`.
    """
    return {
        "format": FORMAT,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "engine": engine,
        "weights": weights,
        "settings": settings.model_dump(mode="json"),
        "reference": reference,
        "tracks": {name: list(hashes) for name, hashes in tracks.items()},
        "frames": frames,
        "width": size[0],
        "height": size[1],
        "fps": fps,
        "inputs": dict(inputs or {}),
        "base": dict(base) if base else None,
        "run": dict(description),
        "signer": signer,
        "versions": dict(versions()),
    }


def write_recipe(path: Path, recipe: Mapping[str, Any]) -> None:
    write_bytes(path, (json.dumps(recipe, indent=2, sort_keys=True) + "\n").encode())


@cache
def versions() -> dict[str, str]:
    """Versions of what a result's pixels depend on; asks package metadata, so nothing heavy is imported."""
    found = {"inference_server": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def sha256_of(source: Path | bytes) -> str:
    """Hex SHA-256 of bytes or of a file, read in pieces."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
