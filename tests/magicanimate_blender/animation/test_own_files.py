"""Only files that we wrote, and that nobody changed since, are replaced or deleted."""

import json
import os

import pytest

from magicanimate_blender.animation import OwnFiles, replace_files
from magicanimate_blender.animation.own_files import REGISTER
from magicanimate_blender.client import FileProblem


@pytest.fixture
def sources(tmp_path):
    """Two frames and a recipe, by the names they shall have."""
    made = tmp_path / "sources"
    made.mkdir()
    files = {}
    for name in ("frames/000001.png", "frames/000002.png", "recipe.json"):
        path = made / name.replace("/", "-")
        path.write_text(name)
        files[name] = path
    return files


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def contents(folder):
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != REGISTER)
    return {path.relative_to(folder).as_posix(): path.read_text() for path in paths}


def test_a_second_run_replaces_the_first(out, sources):
    replace_files(OwnFiles(out), sources, ["frames"])
    assert contents(out) == {name: name for name in sources}
    (sources["recipe.json"]).write_text("newer")
    fewer = {name: path for name, path in sources.items() if name != "frames/000002.png"}
    replace_files(OwnFiles(out), fewer, ["frames"])
    assert contents(out) == {"frames/000001.png": "frames/000001.png", "recipe.json": "newer"}


@pytest.mark.parametrize(
    "name", ["frames/000001.png", "frames/000009.png", "frames/deep/down.exr", "recipe.json", "frames"]
)
def test_a_strangers_file_stops_it_and_nothing_is_changed(out, sources, name):
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("a month of work")
    with pytest.raises(FileProblem, match="did not write it") as caught:
        replace_files(OwnFiles(out), sources, ["frames"])
    assert name in caught.value.detail
    assert contents(out) == {name: "a month of work"}


@pytest.mark.parametrize("retouched", ["retouched pixels!", "frames/000001.pnG"])
def test_a_file_of_ours_that_was_changed_is_a_strangers(out, sources, retouched):
    """The second has the length that ours had."""
    replace_files(OwnFiles(out), sources, ["frames"])
    (out / "frames/000001.png").write_text(retouched)
    with pytest.raises(FileProblem, match=r"000001\.png would be replaced"):
        replace_files(OwnFiles(out), sources, ["frames"])
    OwnFiles(out).delete([*sources])
    assert contents(out) == {"frames/000001.png": retouched}


def test_other_files_beside_are_left_alone(out, sources):
    out.mkdir()
    (out / "shot.blend").write_text("mine")
    replace_files(OwnFiles(out), sources, ["frames"])
    own = OwnFiles(out)
    own.delete(own.names())
    assert contents(out) == {"shot.blend": "mine"}
    assert not (out / "frames").exists()


def test_ours_are_known_after_they_were_copied_to_another_disk(out, sources):
    replace_files(OwnFiles(out), sources, ["frames"])
    os.utime(out / "recipe.json", (1, 1))
    assert sorted(OwnFiles(out).names()) == sorted(sources)


def test_a_file_in_the_folders_place_is_told(out, sources):
    out.write_text("mine")
    with pytest.raises(FileProblem, match="is a file"):
        replace_files(OwnFiles(out), sources, ["frames"])
    assert out.read_text() == "mine"


def test_a_copy_that_was_cut_short_does_not_stop_the_next_run(out, sources):
    replace_files(OwnFiles(out), sources, ["frames"])
    (out / "frames/000002.png").rename(out / "frames/.000002.png.0123abcd.part")
    replace_files(OwnFiles(out), sources, ["frames"])
    assert contents(out).keys() >= sources.keys()


def test_adding_never_replaces(out, sources):
    (out / "frames").mkdir(parents=True)
    (out / "frames/000001.png").write_text("retouched")
    assert OwnFiles(out).add(sources) == ["frames/000001.png"]
    assert contents(out)["frames/000001.png"] == "retouched"
    assert OwnFiles(out).names() == ["frames/000002.png", "recipe.json"]


@pytest.mark.parametrize(
    "value", ["", "[]", '{"format": 1}', '{"format": 9, "files": {}}', '{"format": 1, "files": {"a": [1]}}']
)
def test_a_damaged_register_makes_nothing_ours(out, sources, value):
    OwnFiles(out).add(sources)
    (out / REGISTER).write_text(value)
    assert OwnFiles(out).names() == []
    OwnFiles(out).delete([*sources])
    assert contents(out) == {name: name for name in sources}


@pytest.mark.parametrize("name", ["../precious", "/tmp/precious", "frames/../../precious", "C:\\precious", "a\\..\\b"])
def test_a_register_leads_nowhere_else(out, sources, name, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("x")
    OwnFiles(out).add(sources)
    value = json.loads((out / REGISTER).read_text())
    now = precious.stat()
    value["files"] = {name: [now.st_size, now.st_mtime_ns, ""]}
    (out / REGISTER).write_text(json.dumps(value))
    OwnFiles(out).delete(OwnFiles(out).names())
    assert precious.read_text() == "x"
    assert OwnFiles(out).names() == []
