"""`python3 tools/dev.py demo | test | lint | build | gui`: the project's tasks, from a bare checkout, on any machine.

Needs nothing but a Python; makes a virtual environment in the checkout and installs what requirements.txt pins.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from environments import (
    BLENDERS,
    ROOT,
    Environment,
    SetupError,
    blender_environment,
    find_python,
    full_environment,
    missing_system_packages,
    run,
)

ADDON_TESTS = ("tests/magicanimate_blender", "tests/tools", "tests/test_walls.py")
"""All that can run without the server's packages."""
HALVES = {"server": ("tests/inference_server",), "the rest": (*ADDON_TESTS, "tests/end_to_end")}
"""All tests, in two halves that take about as long."""
WITHOUT_NETWORK = [sys.executable, "tools/without_network.py"]


def demo(args: argparse.Namespace) -> int:
    python = full_environment().ensure()
    steps = [] if args.steps is None else ["--steps", str(args.steps)]
    return run([python, "-m", "tools.demo", "--out", args.out.resolve(), *steps])


def test(args: argparse.Namespace) -> int:
    run_with = WITHOUT_NETWORK if args.no_network else []
    if run_with and run([*run_with, sys.executable, "-c", ""]):
        raise SetupError("Leave out --no-network to run the tests as they are.")
    if args.all_blenders:
        return test_all_blenders(args.pytest, run_with)
    environment = default_environment()
    if args.pytest:
        parts = {"chosen tests": pytest(environment, args.pytest, run_with)}
    elif environment == full_environment():
        parts = {name: pytest(environment, half, run_with) for name, half in HALVES.items()}
    else:
        print(f"Python 3.11 is not here: only the add-on's tests, on Python {environment.python_version}", flush=True)
        parts = {"add-on": pytest(environment, ADDON_TESTS, run_with)}
    return 1 if any(side_by_side(parts).values()) else 0


def test_all_blenders(arguments: list[str], run_with: list[str]) -> int:
    """The add-on's tests on every supported Blender whose Python is here; says which were left out."""
    commands, outcomes = {}, {}
    for blender, (version, *_) in BLENDERS.items():
        try:
            find_python(version)
        except SetupError as problem:
            outcomes[blender] = f"not run: {problem}"
        else:
            commands[blender] = pytest(blender_environment(blender), arguments or ADDON_TESTS, run_with)
    for blender, status in side_by_side(commands).items():
        outcomes[blender] = "failed" if status else "passed"
    print("\n" + "\n".join(f"Blender {blender}: {outcomes[blender]}" for blender in BLENDERS), flush=True)
    return 1 if "failed" in outcomes.values() or not commands else 0


def pytest(environment: Environment, arguments: Sequence[str], run_with: Sequence[str]) -> list[str]:
    """The command, once the environment is installed."""
    return [*run_with, str(environment.ensure()), "-m", "pytest", *arguments]


def side_by_side(commands: dict[str, list[str]]) -> dict[str, int]:
    """Run named commands, as many at once as there are cores, one thread each: more would only wait for each other.

    The first one's output comes as it goes, that of the others when they end. Returns the exit statuses. Plain
    processes, because a Blender that crashes then takes nothing along but its own tests.
    """
    environment = {"OMP_NUM_THREADS": "1", **os.environ}

    def start(command: list[str], show: bool) -> subprocess.CompletedProcess[bytes]:
        output = None if show else subprocess.PIPE
        return subprocess.run(command, cwd=ROOT, env=environment, stdout=output, stderr=output and subprocess.STDOUT)

    statuses = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = {name: pool.submit(start, command, not at) for at, (name, command) in enumerate(commands.items())}
        for name, run_of_it in running.items():
            print(f"\n== {name}", flush=True)
            done = run_of_it.result()
            print((done.stdout or b"").decode("utf-8", "replace"), end="", flush=True)
            statuses[name] = done.returncode
    return statuses


def default_environment() -> Environment:
    """Everything on Python 3.11; where only Python 3.13 is, the newest Blender and the add-on's tests."""
    try:
        find_python("3.11")
    except SetupError:
        find_python("3.13")
        return blender_environment(list(BLENDERS)[-1])
    return full_environment()


def lint(args: argparse.Namespace) -> int:
    python = default_environment().ensure()
    checks = (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"])
    statuses = [run([python, "-m", *check]) for check in checks]
    return 1 if any(statuses) else 0


def build(args: argparse.Namespace) -> int:
    python = default_environment().ensure()
    return run([python, "-m", "tools.extension", "--out", args.out.resolve()])


def gui(args: argparse.Namespace) -> int:
    """Blender's real window, driven by clicks, in a chroot per Debian suite that has a Blender."""
    python = full_environment().ensure()
    if platform.system() != "Linux" or os.geteuid() or not shutil.which("debootstrap"):
        raise SetupError("Window tests run Blender in chroots. Run this as root on Linux with debootstrap installed.")
    for suite in ("trixie", "sid"):
        root = args.chroots.resolve() / suite
        if not (root / "usr/bin/blender").exists():
            root.parent.mkdir(parents=True, exist_ok=True)
            print(f"Making {root}: about 2 GB, some minutes", flush=True)
            if run(["bash", "tests/gui/make_chroot.sh", suite, root]):
                raise SetupError(f"{root} could not be made. Its reason stands above; remove the folder and try again.")
    places = {"BLENDER_CHROOTS": str(args.chroots.resolve()), "WINDOW_PICTURES": str(args.out.resolve())}
    if args.real_install:
        places["REAL_INSTALL"] = "1"
    return run([python, "-m", "pytest", "tests/gui", *args.pytest], **places)


def system_packages(args: argparse.Namespace) -> int:
    print("\n".join(missing_system_packages()))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("demo", help="posed character in, video in the scene out, with the real parts")
    command.add_argument("--out", type=Path, required=True, metavar="DIR")
    command.add_argument("--steps", type=int, metavar="N", help="denoising steps: fewer are quicker and rougher")
    command.set_defaults(run=demo)

    command = commands.add_parser("test", help="run the tests; further arguments go to pytest")
    command.add_argument("--all-blenders", action="store_true", help="the add-on's tests on every supported Blender")
    command.add_argument("--no-network", action="store_true", help="cut off from it once all is installed: Linux, root")
    command.set_defaults(run=test)

    command = commands.add_parser("lint", help="ruff and mypy")
    command.set_defaults(run=lint)

    command = commands.add_parser("build", help="make and validate the extension zip")
    command.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR")
    command.set_defaults(run=build)

    command = commands.add_parser("gui", help="the add-on in Blender's window, by clicks (Linux, root)")
    command.add_argument("--chroots", type=Path, default=ROOT / "build/chroots", metavar="DIR")
    command.add_argument("--out", type=Path, default=ROOT / "build/pictures", metavar="DIR", help="for screenshots")
    command.add_argument("--real-install", action="store_true", help="also install the real server, some GB")
    command.set_defaults(run=gui)

    command = commands.add_parser("system-packages", help="print the Debian packages that are missing here")
    command.set_defaults(run=system_packages)

    args, rest = parser.parse_known_args()
    if rest and args.run not in (test, gui):
        parser.error(f"unknown arguments: {' '.join(rest)}")
    args.pytest = rest
    try:
        return args.run(args)
    except SetupError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
