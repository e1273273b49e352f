"""Fetch a weight set from the Hugging Face hub: of pinned commits, resumed where it was cut, every file checked."""

import contextlib
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from inference_server.errors import UserError
from inference_server.media.files import write_bytes
from inference_server.weights.catalogue import REVISIONS, Entry, Part, room_to_convert
from inference_server.weights.manifest import Manifest, hash_file

# Plain HTTP ranges resume a 5 GB file at the byte where it was cut, and its bytes can be counted as they arrive.
os.environ.setdefault("HF_HUB_DISABLE_XET", "1")

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

from huggingface_hub import HfApi, RepoFile, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

SPARE = 512 * 2**20
"""Bytes that stay free on the disk."""

COUNT_EVERY = 0.2
"""Seconds between two looks at how much has arrived."""


@dataclass(frozen=True)
class Wanted:
    """What is fetched of one repository. revision: a commit. files: the hub's record of each part's file."""

    repo: str
    revision: str
    files: dict[Part, RepoFile]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.values())


def fetch(entry: Entry, tree: Path, tell: Callable[[int, int], None]) -> None:
    """Fetch what is not there yet. `tell(bytes done, bytes in all)` is called as data arrive.

    Raises UserError `offline`, `hub-unreachable`, `hub-refused`, `revision-gone`, `not-enough-space` or
    `download-damaged`.
    """
    with hub_errors(tree):
        wanted = list(_plan(entry, tree))
        _check_space(entry, tree, [file.size for each in wanted for file in each.files.values()])
        done, total = 0, sum(each.size for each in wanted)
        for each in wanted:
            folder = _staging(tree) / each.repo.replace("/", "--")
            with counting(folder, each.size, partial(_tell_sum, tell, done, total)):
                snapshot_download(
                    each.repo,
                    revision=each.revision,
                    local_dir=folder,
                    allow_patterns=[part.source for part in each.files],
                )
            for part, file in each.files.items():
                _take(each, part, file, folder / part.source, tree)
            done += each.size
            tell(done, total)
    shutil.rmtree(_staging(tree), ignore_errors=True)


def _plan(entry: Entry, tree: Path) -> Iterator[Wanted]:
    """What is missing, repository by repository."""
    api, pins = HfApi(), Pins(tree.parent)
    parts = [part for part in (*entry.parts, *entry.optional) if part.find(tree) is None]
    for repo in dict.fromkeys(part.repo for part in parts):
        ours = [part for part in parts if part.repo == repo]
        needed = [part for part in ours if part in entry.parts]
        try:
            revision = pins.of(repo) or pins.record(repo, str(api.model_info(repo).sha))
            listed = {
                file.path: file
                for file in api.list_repo_tree(repo, recursive=True, revision=revision)
                if isinstance(file, RepoFile)
            }
        except (RepositoryNotFoundError, RevisionNotFoundError):
            if needed:
                raise
            continue  # the set is whole without it
        for part in needed:
            if part.source not in listed:
                raise EntryNotFoundError(f"{repo} has no {part.source} at {revision}")
        yield Wanted(repo, revision, {part: listed[part.source] for part in ours if part.source in listed})


def _tell_sum(tell: Callable[[int, int], None], before: int, total: int, now: int) -> None:
    tell(before + now, total)


class Pins:
    """The commit of every repository: the catalogue's, else the one that the first fetch met, kept in `root`."""

    def __init__(self, root: Path) -> None:
        self._path = root / "revisions.json"

    def of(self, repo: str) -> str | None:
        return REVISIONS.get(repo) or self._recorded().get(repo)

    def record(self, repo: str, commit: str) -> str:
        write_bytes(self._path, json.dumps({**self._recorded(), repo: commit}, indent=1).encode())
        return commit

    def _recorded(self) -> dict[str, str]:
        try:
            return dict(json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return {}


def _take(wanted: Wanted, part: Part, file: RepoFile, staged: Path, tree: Path) -> None:
    """Move an arrived file into the tree once its hash is the hub's. Raises UserError `download-damaged`."""
    found = hash_file(staged)
    same = found == file.lfs.sha256 if file.lfs is not None else git_hash(staged) == file.blob_id
    if not same:
        staged.unlink()
        raise UserError(
            f"{part.source} of {wanted.repo} arrived damaged: its hash is not the hub's",
            fix="Try again: the other files are kept.",
            code="download-damaged",
        )
    target = tree / part.fetched
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(staged, target)
    Manifest(tree).record(target, found, f"{wanted.repo}@{wanted.revision}/{part.source}")


def git_hash(path: Path) -> str:
    """How git names a small file's content."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@contextlib.contextmanager
def counting(folder: Path, most: int, tell: Callable[[int], None]) -> Iterator[None]:
    """Within the block `tell(bytes)` is called now and then with what has arrived in `folder`, at most `most`."""
    ended = threading.Event()

    def count() -> None:
        while not ended.wait(COUNT_EVERY):
            tell(min(most, arrived(folder)))

    thread = threading.Thread(target=count, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def arrived(folder: Path) -> int:
    """Bytes of whole and half files."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # it may just have got its own name
            total += path.stat().st_size if path.is_file() else 0
    return total


@contextlib.contextmanager
def hub_errors(tree: Path) -> Iterator[None]:
    """The hub's refusals and a missing network as UserError."""
    try:
        yield
    except OfflineModeIsEnabled:
        raise UserError(
            "The hub is switched off by HF_HUB_OFFLINE",
            fix="Unset it, or use files that you have: python -m inference_server weights add FOLDER",
            code="offline",
        ) from None
    except RevisionNotFoundError as error:
        raise UserError(
            f"The hub no longer has a pinned commit: {_first_line(error)}",
            fix=f"To take the newest one, remove the repository's line from {tree.parent / 'revisions.json'} if it is "
            "there; else add the files from elsewhere: python -m inference_server weights add FOLDER",
            code="revision-gone",
        ) from error
    except LocalEntryNotFoundError as error:
        raise _unreachable(error) from error
    except (EntryNotFoundError, HfHubHTTPError) as error:
        raise UserError(
            f"The hub refused a file: {_first_line(error)}",
            fix="Log in with `hf auth login` if it asks for that, else try again later.",
            code="hub-refused",
        ) from error
    except Exception as error:
        if not _is_network_failure(error):
            raise
        raise _unreachable(error) from error


def _unreachable(error: Exception) -> UserError:
    return UserError(
        f"The hub cannot be reached ({type(error).__name__})",
        fix="Check the network and try again: what is already downloaded is kept.",
        code="hub-unreachable",
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _is_network_failure(error: Exception) -> bool:
    """huggingface_hub has changed its HTTP library more than once; their transport errors share this name."""
    return isinstance(error, ConnectionError) or any(c.__name__ == "TransportError" for c in type(error).__mro__)


def _staging(tree: Path) -> Path:
    return tree / ".download"


def _check_space(entry: Entry, tree: Path, sizes: Sequence[int]) -> None:
    """Room for the files, and for the largest one in half precision beside it."""
    tree.mkdir(parents=True, exist_ok=True)
    needed = sum(sizes) + room_to_convert(sizes) - arrived(_staging(tree))
    free = shutil.disk_usage(tree).free
    if sizes and needed + SPARE > free:
        raise UserError(
            f"{entry.title} needs {needed / 1e9:.1f} GB and the disk of {tree} has {free / 1e9:.1f} GB free",
            fix="Free some space, or put the data folder on another disk with --data-dir.",
            code="not-enough-space",
        )
