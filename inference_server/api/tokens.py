"""`serve tokens add | list | revoke NAME`: a token for each person who shares the server."""

import argparse
from pathlib import Path

from inference_server.api.audit import Audit
from inference_server.jobs.folder import DataFolder
from inference_server.jobs.people import MAX_BYTES, MAX_JOBS, People, Person

COMMAND_LINE = Person("command line", admin=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="tokens_command", required=True, metavar="COMMAND")
    add = commands.add_parser("add", help="make a token; it is shown once, and only its hash is kept")
    add.add_argument("name", metavar="NAME")
    add.add_argument("--admin", action="store_true", help="sees everybody's jobs, may stop the server and load weights")
    add.add_argument("--max-jobs", type=int, default=MAX_JOBS, metavar="N", help="not done at a time (%(default)s)")
    add.add_argument(
        "--max-gb", type=float, default=MAX_BYTES / 1e9, metavar="GB", help="results and pictures (%(default)g)"
    )
    revoke = commands.add_parser("revoke", help="end somebody's access; their jobs and results stay")
    revoke.add_argument("name", metavar="NAME")
    commands.add_parser("list", help="who has a token")
    for command in commands.choices.values():
        command.add_argument("--data-dir", type=Path, default=argparse.SUPPRESS, metavar="FOLDER")


def run(args: argparse.Namespace) -> int:
    """Works while a server runs, which knows it at once. Raises UserError."""
    folder = DataFolder(args.data_dir)
    folder.create()
    people, audit = People(folder.people), Audit(folder.logs)
    try:
        if args.tokens_command == "add":
            token = people.add(args.name, admin=args.admin, max_jobs=args.max_jobs, max_bytes=int(args.max_gb * 1e9))
            audit.write(COMMAND_LINE, "token added", name=args.name, admin=args.admin)
            print(f"The token of {args.name}, which cannot be shown again:\n{token}")
        elif args.tokens_command == "revoke":
            people.revoke(args.name)
            audit.write(COMMAND_LINE, "token revoked", name=args.name)
            print(f"{args.name} has no access any more")
        else:
            for person in people.all():
                kind = "admin" if person.admin else f"{person.max_jobs} jobs, {person.max_bytes / 1e9:g} GB"
                print(f"{person.name}  {kind}")
    finally:
        audit.close()
        people.close()
    return 0
