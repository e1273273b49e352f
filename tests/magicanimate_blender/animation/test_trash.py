"""What was thrown away comes back whole, until it is emptied."""

import os
import subprocess
import sys

import pytest

from magicanimate_blender.animation import Trash, recover
from magicanimate_blender.animation.trash import FOLDER, _computer
from magicanimate_blender.client import FileProblem

RESULT = "0e1f7a60-0000-4000-8000-000000000001"


@pytest.fixture
def root(tmp_path):
    for name in ("job.json", "frames/000001.png", "frames/000002.png"):
        path = tmp_path / "results" / RESULT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "results"


def contents(root):
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


def files(root):
    return [path for path in (root / RESULT).rglob("*") if path.is_file()]


def test_what_is_thrown_away_is_gone_and_comes_back_as_it_was(root):
    before = contents(root)
    trash = Trash(root)
    trash.throw(files(root))
    assert not (root / RESULT).exists()
    trash.restore(RESULT)
    assert contents(root) == before
    assert [path.name for path in root.iterdir()] == [RESULT]


def test_emptying_leaves_nothing_and_other_files_stay(root):
    (root / RESULT / "notes.txt").write_text("mine")
    trash = Trash(root)
    trash.throw(path for path in files(root) if path.name != "notes.txt")
    trash.empty(RESULT)
    assert contents(root) == {f"{RESULT}/notes.txt": "mine"}
    assert [path.name for path in root.iterdir()] == [RESULT]


def test_restoring_replaces_nothing(root):
    trash = Trash(root)
    trash.throw(files(root))
    (root / RESULT).mkdir()
    (root / RESULT / "job.json").write_text("newer")
    trash.restore(RESULT)
    assert contents(root)[f"{RESULT}/job.json"] == "newer"
    assert contents(root)[f"{RESULT}/frames/000002.png"] == "frames/000002.png"


def test_all_is_thrown_away_or_nothing(root):
    before = contents(root)
    with pytest.raises(FileProblem, match=r"missing\.png can't be deleted"):
        Trash(root).throw([*files(root), root / RESULT / "missing.png"])
    assert contents(root) == before


def test_what_a_crash_left_in_the_trash_comes_back(root):
    before = contents(root)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    Trash(root, f"{_computer()}-{ended.pid}").throw(files(root))
    recover(root, lambda pid: pid == os.getpid())
    assert contents(root) == before
    assert not (root / FOLDER).exists() or not any((root / FOLDER).iterdir())


def test_the_trash_of_a_blender_that_runs_or_of_another_computer_is_left_alone(root):
    for session in (f"{_computer()}-1", "elsewhere-99999999"):
        trash = Trash(root, session)
        trash.throw(files(root))
        recover(root, lambda pid: pid == 1)
        assert not (root / RESULT).exists()
        trash.restore(RESULT)
