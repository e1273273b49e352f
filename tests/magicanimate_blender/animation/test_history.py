"""Results on disk: listed, read, deleted; damage is found, never guessed at."""

import json
import uuid
from dataclasses import replace

import pytest

from magicanimate_blender.animation import PRESETS, History, Record, State
from magicanimate_blender.client import FileProblem
from tests.magicanimate_blender.animation.helpers import make_spec
from tests.magicanimate_blender.client.fake_server import png


def make_result(history: History, created: float, **changes) -> Record:
    record = Record(str(uuid.uuid4()), make_spec(2), State.DONE, created, maps=("a", "b"), seconds=2.5)
    record = replace(record, **changes)
    folder = history.folder(record.id)
    record.save(folder)
    folder.frames.mkdir()
    folder.frame(0).write_bytes(png())
    return record


@pytest.fixture
def history(tmp_path) -> History:
    return History(tmp_path / "results")


def test_newest_first_and_as_they_were_written(history):
    assert history.records() == []
    old, new = make_result(history, 1.0), make_result(history, 2.0, demo_weights=True, notes=("one",))
    assert history.records() == [new, old]
    assert history.get(old.id) == old
    assert history.folder(old.id).fetched(2) == {0}


def test_a_thumbnail_is_the_preview_or_the_first_frame(history):
    record = make_result(history, 1.0)
    folder = history.folder(record.id)
    assert history.thumbnail(record) == folder.frame(0)
    folder.preview.write_bytes(png())
    assert history.thumbnail(record) == folder.preview
    folder.preview.unlink()
    folder.frame(0).unlink()
    assert history.thumbnail(record) is None


def test_deleting_removes_the_folder_and_nothing_else(history):
    one, two = make_result(history, 1.0), make_result(history, 2.0)
    history.delete(one.id)
    history.delete(one.id)
    assert history.records() == [two]
    assert [path.name for path in history.root.iterdir()] == [two.id]


@pytest.mark.parametrize("job", ["..", "../results", "/", "", "a/b", "*", "00000000"])
def test_an_id_from_a_file_never_becomes_a_path(history, job):
    history.root.mkdir()
    with pytest.raises(FileProblem):
        history.delete(job)
    assert history.root.is_dir()


@pytest.mark.parametrize(
    "damage",
    [
        lambda value: "",
        lambda value: "null",
        lambda value: json.dumps(value)[:50],
        lambda value: json.dumps({**value, "format": 99}),
        lambda value: json.dumps({**value, "state": "odd"}),
        lambda value: json.dumps({**value, "created": float("nan")}),
        lambda value: json.dumps({**value, "spec": {}}),
        lambda value: json.dumps({**value, "spec": 3}),
        lambda value: json.dumps({**value, "id": "../.."}),
    ],
)
def test_damaged_records_are_left_out_and_told(history, damage):
    good, bad = make_result(history, 1.0), make_result(history, 2.0)
    path = history.folder(bad.id).record
    path.write_text(damage(json.loads(path.read_text())))
    assert history.records() == [good]
    assert history.damaged() == [path.parent]
    with pytest.raises(FileProblem) as caught:
        history.get(bad.id)
    assert caught.value.code == "result-damaged"


def test_presets_change_what_the_engine_has_and_leave_the_rest():
    schema = {"properties": {"steps": {}, "seed": {}}}
    for preset in PRESETS:
        settings = preset.apply({"seed": 5, "steps": 1}, schema)
        assert settings == {"seed": 5, "steps": preset.settings["steps"]}


def test_one_preset_undoes_another():
    schema = {"properties": {name: {} for name in PRESETS[0].settings}}
    _, draft, standard, final = PRESETS
    assert standard.apply(draft.apply({}, schema), schema) == standard.apply({}, schema)
    assert all(preset.settings.keys() == standard.settings.keys() for preset in PRESETS)
    assert draft.settings["steps"] < standard.settings["steps"] < final.settings["steps"]
