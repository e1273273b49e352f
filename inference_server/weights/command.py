"""`python -m inference_server weights list | pull | add | verify | delete`."""

import argparse
import sys
import time
from pathlib import Path

from inference_server.data_dir import add_data_dir_argument
from inference_server.errors import UserError
from inference_server.weights.adopt import link_folder
from inference_server.weights.catalogue import CATALOGUE, Entry, find_entry
from inference_server.weights.library import Kind, WeightsLibrary

DEFAULT = "magicanimate"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data_dir_argument(parser)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="what there is and whether it is ready")
    pull = actions.add_parser("pull", help="fetch from the hub, going on where it was cut")
    pull.add_argument(
        "--accept-licence", action="store_true", help="do not ask: the licence has been read and accepted"
    )
    add = actions.add_parser("add", help="use files that are on this computer, by links")
    add.add_argument("folder", type=Path)
    others = [
        actions.add_parser("verify", help="compare all files with their hashes"),
        actions.add_parser("delete", help="remove from this computer"),
    ]
    for action in (pull, add, *others):
        action.add_argument("weights", nargs="?", default=DEFAULT, choices=CATALOGUE, help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    root = args.data_dir.expanduser().resolve() / "weights"
    root.mkdir(parents=True, exist_ok=True)
    library = WeightsLibrary(root)
    if args.action == "list":
        for entry in library.entries():
            size = f"{library.size_bytes(entry) / 1e9:6.2f} GB"
            print(f"{entry.id:14} {library.state(entry.id):8} {size}  {entry.licence}")
        return 0
    entry = find_entry(args.weights)
    if args.action == "delete":
        library.delete(entry.id)
        print(f"{entry.title}: deleted")
        return 0
    if args.action == "pull":
        ask_licence(library, entry, agreed=args.accept_licence)
        gigabytes = [size / 1e9 for size in (entry.download_bytes, entry.disk_bytes, entry.resting_bytes)]
        print("Fetches {:.1f} GB; needs {:.1f} GB of disk meanwhile and about {:.1f} GB after.".format(*gigabytes))
        library.start_download(entry.id, accept_licence=False)
        return follow(library, entry)
    if args.action == "add":
        missing = link_folder(entry, args.folder, library.folder_of(entry.id))
        if missing:
            print(f"{entry.title}: linked; still missing: {', '.join(map(str, missing))}")
            print(f"Add the folder that holds them, or run: python -m inference_server weights pull {entry.id}")
            return 1
    return work(library, entry, "add" if args.action == "add" else "verify")


def work(library: WeightsLibrary, entry: Entry, kind: Kind) -> int:
    library.start(entry.id, kind)
    return follow(library, entry)


def ask_licence(library: WeightsLibrary, entry: Entry, *, agreed: bool) -> None:
    """Show the licence once. Raises UserError `licence-not-accepted` where nobody can answer."""
    if library.accepted(entry.id):
        return
    print(f"{entry.title} is licensed under {entry.licence}\n  {entry.licence_url}")
    if not agreed and sys.stdin.isatty():
        agreed = input("Do you accept it? [y/N] ").strip().lower() in ("y", "yes")
    if not agreed:
        raise UserError(
            f"The licence of {entry.title} was not accepted",
            fix="Read it, then give --accept-licence.",
            code="licence-not-accepted",
        )
    library.accept(entry.id)


def follow(library: WeightsLibrary, entry: Entry) -> int:
    """Print progress until the work is done. Raises UserError for its problem; Ctrl-C stops it, and it resumes."""
    try:
        while library.is_busy(entry.id):
            task = library.task(entry.id)
            if task is not None and task.total_bytes and sys.stderr.isatty():
                share = task.done_bytes / task.total_bytes
                print(
                    f"\r{entry.title}: {task.state} {share:6.1%} of {task.total_bytes / 1e9:.2f} GB",
                    end="",
                    file=sys.stderr,
                )
            time.sleep(0.1)
    finally:
        library.stop(entry.id)
        if sys.stderr.isatty():
            print(file=sys.stderr)
    task = library.task(entry.id)
    if task is not None and task.problem is not None:
        raise UserError(task.problem["detail"], fix=task.problem["fix"], code=task.problem["code"])
    for note in task.notes if task is not None else ():
        print(f"{entry.title}: {note}")
    print(f"{entry.title}: ready in {library.folder_of(entry.id)}")
    return 0
