"""`python -m inference_server COMMAND`: each command lives in the package that does its work."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from inference_server import __version__
from inference_server.engines.out_of_memory import is_out_of_memory
from inference_server.errors import UserError

# command -> (module with add_arguments(parser) and run(args) -> exit status, one-line help).
# Modules are imported only for the command that is asked for: `serve` must start without torch.
COMMANDS = {
    "serve": ("inference_server.api.command", "run the server"),
    "animate": ("inference_server.engines.command", "animate a picture from the command line"),
    "weights": ("inference_server.weights.command", "list, fetch, add and verify model weights"),
    "bench": ("inference_server.engines.bench", "measure FLOPs, speed and memory"),
    "evaluate": ("inference_server.evaluation.command", "score outputs against the truth"),
    "train": ("inference_server.training.command", "train the demo weights or fine-tune on own clips"),
    "doctor": ("inference_server.api.doctor", "check this machine and print advice"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit status; bad input is one line on stderr and status 2."""
    # Threads that wait for each other without sleeping make a CPU that is shared, with Blender say, many times slower:
    # 26 s a step against 2 on two busy cores. Read when torch is loaded, here or in a child.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="python -m inference_server", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, help_line) in COMMANDS.items():
        sub = commands.add_parser(name, help=help_line, description=help_line)
        if name in argv[:1]:
            importlib.import_module(module).add_arguments(sub)
    args = parser.parse_args(argv)
    try:
        return int(importlib.import_module(COMMANDS[args.command][0]).run(args))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        print("error: The device's memory is full. Choose a smaller size, or close other programs.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("cancelled", file=sys.stderr)
        return 130
