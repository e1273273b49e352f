"""Long work on weight files, each in a process of its own: `python -m inference_server.weights.tasks KIND ID ROOT`.

A process can be ended at any moment, keeps huggingface_hub and torch out of the server, and is what unpickles.
It writes one JSON object a line: progress, `{"note": ...}`, at last `{"state": "done"}` or `{"problem": ...}`.
"""

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from inference_server.errors import UserError
from inference_server.weights.catalogue import Entry, find_entry
from inference_server.weights.manifest import Manifest, hash_file

MAX_JSON = 16 * 2**20
"""Bytes of a configuration or vocabulary; the largest published one has 1 MB."""
ORPHANED = 3

Tell = Callable[[int, int], None]
"""Bytes done, bytes in all."""


def verify(entry: Entry, tree: Path, tell: Tell) -> None:
    """Hash every file and compare with the manifest, then compare names and shapes with what the network expects.

    Files without a hash get theirs now. Raises UserError `weights-missing`, `weights-changed` or as the loader does.
    """
    compare_hashes(entry, tree, tell)
    say_notes(check_headers(entry, tree))


def compare_hashes(entry: Entry, tree: Path, tell: Tell) -> None:
    """Raises UserError `weights-missing` or `weights-changed`."""
    files = require_all(entry, tree)
    manifest, done, total = Manifest(tree), 0, sum(path.stat().st_size for path in files)

    def advance(count: int) -> None:
        nonlocal done
        done += count
        tell(done, total)

    for path in files:
        known = manifest.state_of(path)
        found = hash_file(path, advance)
        if known is not None and known.sha256 != found:
            raise UserError(
                f"{path} is not the file that was installed: its SHA-256 has changed",
                fix=f"Delete the weights {entry.title!r} and fetch them again.",
                code="weights-changed",
            )
        if entry.bundled is None:
            manifest.record(path, found, *((known.source, known.original) if known else ()))


def require_all(entry: Entry, tree: Path) -> list[Path]:
    """Every file of the set that is there.

    Raises UserError `weights-missing` naming the first that is not there, `weights-unreadable` for a text file that is
    too large to be one: reading it would take all memory.
    """
    for part in entry.parts:
        if part.find(tree) is None:
            raise UserError(
                f"{tree} lacks {part}",
                fix=f"Fetch the set: python -m inference_server weights pull {entry.id}",
                code="weights-missing",
            )
    files = [path for path in entry.files(tree) if path is not None]
    for path in files:
        if path.suffix == ".json" and path.stat().st_size > MAX_JSON:
            raise UserError(
                f"{path} has {path.stat().st_size / 2**20:.0f} MiB, which no configuration has",
                fix=f"Delete the weights {entry.title!r} and fetch them again.",
                code="weights-unreadable",
            )
    return files


def end_with_parent() -> None:
    """A thread that waits for the end of stdin, which is a pipe from the parent, and ends this process then."""

    def wait() -> None:
        while os.read(0, 4096):  # not sys.stdin: its lock, held by this thread, would end Python with an abort
            pass
        os._exit(ORPHANED)

    threading.Thread(target=wait, daemon=True).start()


def check_headers(entry: Entry, tree: Path) -> Sequence[str]:
    """Names and shapes of all tensors, from the files' headers, against the networks; lines on what is not used.

    Raises UserError.
    """
    from inference_server.engines.magicanimate.loader import check_tree  # torch: only in this process

    notes = check_tree(tree).notes
    if entry.bundled is None:
        Manifest(tree).save(checked=True)
    return notes


def convert(tree: Path) -> None:
    """See `at_rest`; what does not fit is refused before anything is replaced."""
    from inference_server.engines.magicanimate.loader import check_tree
    from inference_server.weights.at_rest import convert_tree

    checked = check_tree(tree)
    say_notes(checked.notes)
    convert_tree(tree, checked)


def pull(entry: Entry, tree: Path, tell: Tell) -> None:
    from inference_server.weights.download import fetch

    fetch(entry, tree, tell)
    convert(tree)
    record_unhashed(entry, tree)
    check_headers(entry, tree)


def finish_adding(entry: Entry, tree: Path, tell: Tell) -> None:
    require_all(entry, tree)
    convert(tree)
    compare_hashes(entry, tree, tell)
    check_headers(entry, tree)


def record_unhashed(entry: Entry, tree: Path) -> None:
    manifest = Manifest(tree)
    for path in require_all(entry, tree):
        if manifest.state_of(path) is None:
            manifest.record(path, hash_file(path))


KINDS = {"pull": pull, "verify": verify, "add": finish_adding}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m inference_server.weights.tasks", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("weights")
    parser.add_argument("tree", type=Path)
    options = parser.parse_args(argv)
    if argv is None:
        end_with_parent()
    said = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said > 0.2 or done == total:
            said = time.monotonic()
            say({"done_bytes": done, "total_bytes": total})

    try:
        KINDS[options.kind](find_entry(options.weights), options.tree, tell)
    except UserError as error:
        say({"problem": {"detail": error.message, "fix": error.fix, "code": error.code}})
        return 1
    except OSError as error:
        fix = "Free some space and try again: what is already there is used."
        say({"problem": {"detail": f"The weights could not be written: {error}", "fix": fix, "code": "file-error"}})
        return 1
    say({"state": "done"})
    return 0


def say_notes(notes: Sequence[str]) -> None:
    for note in notes:
        say({"note": note})


def say(line: object) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.exit(main())
