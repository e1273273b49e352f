"""docs/troubleshooting.md names every sentence that the add-on can show for a problem, and all pages its buttons."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ADD_ON = ROOT / "magicanimate_blender"
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
SPEAKING = {
    **dict.fromkeys(("SceneError", "DensePoseError"), 0),
    **dict.fromkeys(("ClientError", "FileProblem", "ServerUnreachable", "BadAnswer"), 0),
    **dict.fromkeys(("Note", "Message", "Problem", "poll_message_set", "note"), 0),
    "UserError": 0,
    "InstallState": 1,
    "_rule": 2,
    "Advice": 1,
}
"""Calls through which the add-on speaks to a person about a problem, and which argument is the sentence."""
GAP = "…"
"""Stands for what is put in when the sentence is told."""


def sentences(node: ast.expr) -> Iterator[str]:
    """The texts that an expression can be, with a gap for each value."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(part.value if isinstance(part, ast.Constant) else GAP for part in node.values)
    elif isinstance(node, ast.IfExp):
        yield from sentences(node.body)
        yield from sentences(node.orelse)


def spoken(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        callee = ast.unparse(node.func)
        place = 0 if callee.endswith("notes.append") else SPEAKING.get(callee.rpartition(".")[2])
        if place is not None and place < len(node.args):
            # A sentence that is all gap is another one's, told on.
            yield from (text for text in sentences(node.args[place]) if re.search(r"\w{2}", text))


SERVER = [f"jobs/{name}.py" for name in ("admission", "folder")]
SERVER += [f"weights/{name}.py" for name in ("download", "library", "tasks")]
"""Files of the server whose sentences the panel shows as they are."""
FILES = [*ADD_ON.rglob("*.py"), *(ROOT / "inference_server" / name for name in SERVER)]
MESSAGES = sorted({(path.relative_to(ROOT).as_posix(), text) for path in FILES for text in spoken(path)})


def test_messages_are_found_in_every_package_that_speaks():
    packages = {path.split("/")[1] for path, _ in MESSAGES}
    assert packages >= {"ui", "scene", "client", "server_manager", "animation", "densepose", "jobs", "weights"}


def test_the_page_explains_every_message():
    lines = PAGE.replace("<br>", "\n")
    assert [f"{path}: {message}" for path, message in MESSAGES if not re.search(pattern(message), lines)] == []


def pattern(message: str) -> str:
    """Any text of one line, or nothing but a gap, may stand where something is put in."""
    parts = re.split(f"{GAP}(?:[ .]*{GAP})*", message.rstrip("."))
    return "[^\n|]+?".join(map(re.escape, parts))


@pytest.mark.parametrize("page", ["install", "first-animation", "rigs", "framing", "results", "troubleshooting"])
def test_names_in_bold_are_those_that_the_add_on_shows(page: str):
    text = re.sub(r"\s+", " ", (ROOT / "docs" / f"{page}.md").read_text("utf-8"))
    names = {name.rstrip(".") for name in re.findall(r"\*\*(.+?)\*\*", text)} - {GAP}
    source = "\n".join(path.read_text("utf-8") for path in ADD_ON.rglob("*.py"))
    titles = (ADD_ON / "assets" / "engines.json").read_text("utf-8")
    assert names
    assert [name for name in sorted(names) if name not in source + titles] == []
