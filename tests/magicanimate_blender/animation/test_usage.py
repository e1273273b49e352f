"""Whether another .blend may show a result: known from the register, else read from the file, else yes."""

import gzip
import os

import pytest

from magicanimate_blender.animation import Usage, mentions, users_beside, users_noted
from magicanimate_blender.animation import usage as module

RESULT = "0e1f7a60-0000-4000-8000-000000000001"
OTHER = "0e1f7a60-0000-4000-8000-000000000002"
SHOWS = b"BLENDER-v500" + b"x" * 100 + RESULT.encode() + b"/frames" + b"y" * 100
SHOWS_NOT = b"BLENDER-v500" + b"x" * 400
UNREADABLE = b"\x28\xb5\x2f\xfd" + b"z" * 400
"""Begins as a .blend that was compressed with Zstandard does."""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "magicanimate").mkdir()
    (tmp_path / "shot.blend").write_bytes(SHOWS)
    return tmp_path / "shot.blend"


def users(own):
    found = users_beside(own.parent / "magicanimate", RESULT, own)
    assert found.complete
    return {path.relative_to(own.parent).as_posix() for path in found.files}


def write(own, name, content):
    path = own.parent / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (SHOWS, True),
        (SHOWS_NOT, False),
        (gzip.compress(SHOWS), True),
        (gzip.compress(SHOWS_NOT), False),
        (gzip.compress(SHOWS)[:-20], None),
        (UNREADABLE, None),
        (b"", None),
    ],
)
def test_a_file_is_searched_for_the_id(own, content, answer):
    assert mentions(write(own, "a.blend", content), RESULT) is answer
    assert mentions(own.parent / "gone.blend", RESULT) is None


def test_an_id_over_the_end_of_a_piece_is_found(own, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 7)
    assert mentions(own, RESULT) is True


def test_files_in_the_folder_and_below_are_users_unless_they_provably_are_not(own):
    write(own, "no.blend", SHOWS_NOT)
    write(own, "started_there.blend", SHOWS_NOT + RESULT.encode() + b"\0")
    write(own, "v002.blend", SHOWS)
    write(own, "deep/down/v003.blend1", SHOWS)
    write(own, "packed.blend", UNREADABLE)
    write(own, "notes.txt", SHOWS)
    assert users(own) == {"v002.blend", "deep/down/v003.blend1", "packed.blend"}


def test_the_file_itself_and_its_backups_are_not_other_files(own):
    for name in ("shot.blend1", "shot.blend2"):
        write(own, name, SHOWS)
    assert users(own) == set()
    write(own, "shot.blend_old.blend", SHOWS)
    assert users(own) == {"shot.blend_old.blend"}


def test_the_register_answers_for_files_that_were_not_saved_since(own):
    one, two = write(own, "one.blend", UNREADABLE), write(own, "two.blend", UNREADABLE)
    deep = write(own, "deep/deep.blend", UNREADABLE)
    folder = own.parent / "magicanimate"
    Usage(folder).note(one, [OTHER])
    Usage(folder).note(two, [RESULT])
    (deep.parent / "magicanimate").mkdir()
    Usage(deep.parent / "magicanimate").note(deep, [])
    assert users(own) == {"two.blend"}
    one.write_bytes(UNREADABLE + b"saved since")
    os.utime(deep, (1, 1))
    assert users(own) == {"one.blend", "two.blend", "deep/deep.blend"}


def test_the_register_knows_the_backup_of_a_file_that_was_saved_again(own):
    blend, folder = write(own, "one.blend", UNREADABLE), own.parent / "magicanimate"
    Usage(folder).note(blend, [RESULT])
    found = []
    for time in (1000, 2000):
        os.replace(blend, blend.with_name("one.blend1"))
        blend.write_bytes(UNREADABLE)
        os.utime(blend, (time, time))
        Usage(folder).note(blend, [OTHER])
        found.append(users(own))
    assert found == [{"one.blend1"}, set()]


def test_the_register_moves_with_its_folder(own, tmp_path):
    blend = write(own, "two.blend", UNREADABLE)
    Usage(tmp_path / "magicanimate").note(blend, [OTHER])
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert users(moved / "shot.blend") == set()


def test_a_file_elsewhere_is_known_by_the_register(own, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "edit.blend"
    elsewhere.write_bytes(UNREADABLE)
    folder = own.parent / "magicanimate"
    Usage(folder).note(elsewhere, [RESULT])
    assert users_beside(folder, RESULT, own).files == (elsewhere,)
    assert users_noted(folder, RESULT, own).files == (elsewhere,)
    assert users_noted(folder, RESULT, elsewhere).files == ()
    elsewhere.write_bytes(SHOWS_NOT)  # saved by a Blender without the add-on
    assert not users_noted(folder, RESULT, own)
    elsewhere.unlink()
    assert not users_noted(folder, RESULT, own)


def test_where_there_is_no_time_to_look_at_all_files_some_may_be_users(own, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", -1.0)
    found = users_beside(own.parent / "magicanimate", RESULT, own)
    assert found == ((), False)
    assert found
