"""`python3 tools/dev.py demo | test | lint | build | gui`: the project's tasks, from a bare checkout, on any machine.

Needs nothing but a Python; makes a virtual environment in the checkout and installs what requirements.txt pins.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
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

# What the tests of the add-on alone are: all that can run without the server's packages.
ADDON_TESTS = ("tests/magicanimate_blender", "tests/tools", "tests/test_walls.py")


def demo(args: argparse.Namespace) -> int:
    python = full_environment().ensure()
    steps = [] if args.steps is None else ["--steps", str(args.steps)]
    return run([python, "-m", "tools.demo", "--out", args.out.resolve(), *steps])


def test(args: argparse.Namespace) -> int:
    if args.all_blenders:
        return test_all_blenders(args.pytest)
    environment = default_environment()
    if environment == full_environment():
        return pytest(environment, *args.pytest)
    print(f"Python 3.11 is not here: only the add-on's tests run, on Python {environment.python_version}", flush=True)
    return pytest(environment, *(args.pytest or ADDON_TESTS))


def test_all_blenders(arguments: list[str]) -> int:
    """The add-on's tests on every supported Blender whose Python is here; says which were left out."""
    outcomes = {}
    for blender, (version, *_) in BLENDERS.items():
        print(f"\nBlender {blender}", flush=True)
        try:
            find_python(version)
        except SetupError as problem:
            outcomes[blender] = f"not run: {problem}"
            continue
        failed = pytest(blender_environment(blender), *(arguments or ADDON_TESTS))
        outcomes[blender] = "failed" if failed else "passed"
    print("\n" + "\n".join(f"Blender {blender}: {outcome}" for blender, outcome in outcomes.items()), flush=True)
    return 1 if "failed" in outcomes.values() or "passed" not in outcomes.values() else 0


def pytest(environment: Environment, *arguments: str) -> int:
    """Run pytest on every core, each process with one thread: more threads than cores only wait for each other."""
    python = environment.ensure()
    workers = ["-n", str(os.cpu_count() or 1), "--dist", "loadfile", "--no-loadscope-reorder"]
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    return run([python, "-m", "pytest", *workers, *arguments], **threads)


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
    return max([run([python, "-m", *check]) for check in checks])


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
    command.set_defaults(run=test)

    command = commands.add_parser("lint", help="ruff and mypy")
    command.set_defaults(run=lint)

    command = commands.add_parser("build", help="make and validate the extension zip")
    command.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR")
    command.set_defaults(run=build)

    command = commands.add_parser("gui", help="the add-on in Blender's window, by clicks (Linux, root)")
    command.add_argument("--chroots", type=Path, default=ROOT / "build/chroots", metavar="DIR")
    command.add_argument("--out", type=Path, default=ROOT / "build/pictures", metavar="DIR", help="for screenshots")
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
