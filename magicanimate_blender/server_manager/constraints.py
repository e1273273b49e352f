"""When pip's own settings forbid what the server needs: which line of which constraints file it is.

pip takes a constraints file from PIP_CONSTRAINT or from pip.conf, as studios have it. What it then says names neither
the file nor even the culprit: a version that no index has is told as a conflict with any constraint on that package.
https://pip.pypa.io/en/stable/user_guide/#constraints-files
"""

import ast
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from .advice import Advice, advise
from .processes import clean_environment

CONSTRAINT = re.compile(r"\s+The user requested \(constraint\) (\S.*)")
REQUESTED = re.compile(r"\s+The user requested ([\w.-]+)==(\S+)")
SETTING = re.compile(r"(global|install|:env:)\.constraint=(.+)")
PRECEDENCE = ("global", "install", ":env:")
"""Sections of pip's settings that hold for `pip install`; of an option set in several, the last counts."""
NESTED = re.compile(r"(?:-c|-r|--constraint|--requirement)[ =]\s*(\S+)")
ALLOWS = """
import sys
from pip._vendor.packaging.requirements import Requirement
constraint = Requirement(sys.argv[1])
print(constraint.url is None and constraint.specifier.contains(sys.argv[2], prereleases=True))
"""
SECONDS = 30.0


def constraint_advice(lines: Sequence[str], python: Path) -> Advice | None:
    """What the output of a failed `python -m pip install` says about constraints; None where it speaks of none.

    A constraint that allows the version that was asked for is not to blame: then the index lacks that version.
    """
    requested = {_name(found[1]): found[2] for line in lines if (found := REQUESTED.fullmatch(line))}
    constraints = [found[1].strip() for line in lines if (found := CONSTRAINT.fullmatch(line))]
    for constraint in constraints:
        name = _name(constraint)
        if name not in requested or not _allows(python, constraint, requested[name]):
            return Advice(
                "pip-constraint",
                f"pip is told to keep to {constraint}, in {_place(constraint, python)}",
                "Change or remove that line, or ask whoever looks after this computer, then install again.",
            )
    return advise([f"No matching distribution found for {_name(constraint)}" for constraint in constraints])


def _name(requirement: str) -> str:
    """The package that a line of a constraints file is about, normalised as pip does; "" for a line about none."""
    found = re.match(r"\s*([A-Za-z0-9][\w.-]*)", requirement)
    return re.sub(r"[-_.]+", "-", found[1]).lower() if found else ""


def _allows(python: Path, constraint: str, version: str) -> bool:
    return _output(python, "-c", ALLOWS, constraint, version).strip() == "True"


def _place(constraint: str, python: Path) -> str:
    """`line 3 of FILE`, or the files and addresses that are known where the line is not found."""
    sources = _sources(python)
    for source in sources:
        for path, number, line in _lines(Path(source)):
            if _name(line) == _name(constraint):
                return f"line {number} of {path}"
    return " or ".join(sources) or "its settings"


def _sources(python: Path) -> list[str]:
    """Files and addresses that pip takes constraints from."""
    listed = _output(python, "-m", "pip", "config", "list")
    settings = {found[1]: found[2] for line in listed.splitlines() if (found := SETTING.fullmatch(line))}
    values = [settings[section] for section in PRECEDENCE if section in settings]
    return str(ast.literal_eval(values[-1])).split() if values else []


def _lines(path: Path, depth: int = 0) -> Iterator[tuple[Path, int, str]]:
    """The lines of a constraints file, and of those that it names."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:  # an address, or a file that only pip may read
        return
    for number, line in enumerate(lines, 1):
        yield path, number, line
        if depth < 5 and (nested := NESTED.match(line)):
            yield from _lines(path.parent / nested[1], depth + 1)


def _output(python: Path, *arguments: str) -> str:
    """What the environment's Python prints; "" where it fails."""
    command = [str(python), "-I", *arguments]
    try:
        run = subprocess.run(
            command, capture_output=True, env=clean_environment(), timeout=SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return run.stdout.decode("utf-8", "replace")
