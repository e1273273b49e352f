"""Fetch a weight set from the Hugging Face hub: resumed where it was cut, checked by the hub's own hashes."""

import contextlib
import os
import re
import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from inference_server.errors import UserError
from inference_server.weights.catalogue import Entry, Part
from inference_server.weights.manifest import Manifest, hash_file

# Plain HTTP ranges resume a 5 GB file at the byte where it was cut and tell progress as bytes arrive.
os.environ.setdefault("HF_HUB_DISABLE_XET", "1")

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from tqdm import tqdm

SHA256 = re.compile(r"[0-9a-f]{64}")
SPARE = 512 * 2**20
"""Bytes that stay free on the disk."""


def fetch(entry: Entry, tree: Path, tell: Callable[[int, int], None]) -> None:
    """Fetch what is not there yet. `tell(bytes done, bytes in all)` is called as data arrive.

    Raises UserError `offline`, `hub-unreachable`, `hub-refused`, `not-enough-space` or `download-damaged`.
    """
    missing = [part for part in entry.parts if part.find(tree) is None]
    try:
        heads = {part: _head(part) for part in missing}
        for part in entry.optional:
            with contextlib.suppress(EntryNotFoundError, RepositoryNotFoundError):  # the set is whole without it
                heads |= {} if part.find(tree) else {part: _head(part)}
        sizes = {part: head.size or part.size for part, head in heads.items()}
        _check_space(entry, tree, sum(sizes.values()))
        done, total = 0, sum(sizes.values())
        for part, head in heads.items():
            _fetch_one(part, tree, head, partial(_tell_sum, tell, done, total))
            done += sizes[part]
            tell(done, total)
    except OfflineModeIsEnabled:
        raise UserError(
            "The hub is switched off by HF_HUB_OFFLINE",
            fix="Unset it, or use files that you have: python -m inference_server weights add FOLDER",
            code="offline",
        ) from None
    except (GatedRepoError, EntryNotFoundError, HfHubHTTPError) as error:
        raise UserError(
            f"The hub refused a file: {str(error).strip().partition(chr(10))[0]}",
            fix="Log in with `hf auth login` if it asks for that, else try again later.",
            code="hub-refused",
        ) from error
    except Exception as error:
        if not _is_network_failure(error):
            raise
        raise UserError(
            f"The hub cannot be reached ({type(error).__name__})",
            fix="Check the network and try again: what is already downloaded is kept.",
            code="hub-unreachable",
        ) from error
    shutil.rmtree(_staging(tree), ignore_errors=True)


def _head(part: Part) -> Any:
    return get_hf_file_metadata(hf_hub_url(part.repo, part.source))


def _fetch_one(part: Part, tree: Path, head: Any, tell: Callable[[int], None]) -> None:
    staged = hf_hub_download(
        part.repo, part.source, local_dir=_staging(tree) / part.repo.replace("/", "--"), tqdm_class=_bar(tell)
    )
    found = hash_file(Path(staged))
    # Large files carry their SHA-256 as ETag; small ones a git hash, which says less and is not checked.
    if head.etag and SHA256.fullmatch(head.etag) and head.etag != found:
        Path(staged).unlink()
        raise UserError(
            f"{part.source} of {part.repo} arrived damaged: its SHA-256 is not the hub's",
            fix="Try again: the other files are kept.",
            code="download-damaged",
        )
    target = tree / part.fetched
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(staged, target)
    Manifest(tree).record(target, found, f"{part.repo}@{head.commit_hash}/{part.source}")


def _is_network_failure(error: Exception) -> bool:
    """huggingface_hub has changed its HTTP library more than once; their transport errors share this name."""
    return isinstance(error, ConnectionError) or any(c.__name__ == "TransportError" for c in type(error).__mro__)


def _tell_sum(tell: Callable[[int, int], None], before: int, total: int, now: int) -> None:
    tell(before + now, total)


def _staging(tree: Path) -> Path:
    return tree / ".download"


def _check_space(entry: Entry, tree: Path, needed: int) -> None:
    tree.mkdir(parents=True, exist_ok=True)
    staged = sum(path.stat().st_size for path in _staging(tree).rglob("*.incomplete"))
    free = shutil.disk_usage(tree).free
    if needed - staged + SPARE > free:
        raise UserError(
            f"{entry.title} needs {(needed - staged) / 1e9:.1f} GB and the disk of {tree} has {free / 1e9:.1f} GB free",
            fix="Free some space, or put the data folder on another disk with --data-dir.",
            code="not-enough-space",
        )


def _bar(tell: Callable[[int], None]) -> type[tqdm]:
    """A progress bar that draws nothing and tells the bytes of its file."""

    class Bar(tqdm):  # type: ignore[misc]
        _lock = threading.RLock()

        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            self._told = int(options.get("initial") or 0)
            super().__init__(*args, **{**options, "disable": True})
            tell(self._told)

        def update(self, n: float | None = 1) -> bool | None:
            self._told += int(n or 0)
            tell(self._told)
            return None

    return Bar
