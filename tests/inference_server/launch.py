"""The real server and worker, plus an engine made for faults: `python launch.py serve | worker ...`."""

import os
import sys
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "jobs"), str(HERE.parent.parent)]

from walker_engine import WALKER  # noqa: E402

from inference_server.engines.registry import ENGINES  # noqa: E402
from inference_server.weights import catalogue, library  # noqa: E402


def install(tree: Path) -> None:
    """Register the walker; the demo weights are the tree, if there is one."""
    ENGINES[WALKER.id] = WALKER
    demo = catalogue.CATALOGUE["demo"]
    entries = {
        **catalogue.CATALOGUE,
        "walker": replace(demo, id="walker", title="Walker weights", parts=(), bundled=HERE),
        "demo": replace(demo, bundled=tree),
    }
    catalogue.CATALOGUE.update(entries)
    library.ENTRIES = tuple(entries.values())


def main() -> int:
    kind, tree, *arguments = sys.argv[1:]
    install(Path(tree))
    if kind == "worker":
        from inference_server.jobs.worker import describe_device
        from inference_server.jobs.worker import main as work

        described = {"kind": "cpu", "name": "none", "memory_total": 1, "memory_free": 1}
        # Without weights only the walker can run, which needs no torch; starting is quick then.
        work(arguments, describe_device if Path(tree).is_dir() else lambda _: described)
    import argparse

    from inference_server.api import command, connections, security
    from inference_server.errors import UserError

    # The waits of a test, in seconds.
    connections.READ_WAIT = float(os.environ.get("TEST_READ_WAIT", connections.READ_WAIT))
    security.BODY_WAIT = float(os.environ.get("TEST_BODY_WAIT", security.BODY_WAIT))
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    try:
        return command.serve(parser.parse_args(arguments), (sys.executable, __file__, "worker", tree))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
