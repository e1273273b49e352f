import os
import subprocess
import sys
from pathlib import Path

import bpy
import pytest

from magicanimate_blender.ui import command_line
from tests.magicanimate_blender.client.fake_server import TOKEN
from tests.magicanimate_blender.ui.conftest import ASSETS

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = str(ASSETS / "sample_reference.png")


@pytest.fixture
def ready(stage, current):
    stage.magicanimate.reference = None
    return stage


def test_animate_writes_everything_to_the_folder(ready, server, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["animate", "--reference", REFERENCE, "--consent", "--out", str(out), "--frames", "2-4", "--step", "2"]
    status = command_line.run(
        [*words, "--seed", "5", "--quality", "draft", "--set", "guidance_scale=3", "--size", "64x128"]
    )
    assert status == 0
    for folder in ("frames", "part_maps"):
        assert sorted(path.name for path in (out / folder).iterdir()) == ["000001.png", "000002.png"]
    assert (out / "video.mp4").is_file()
    assert (out / "recipe.json").is_file()
    (job,) = server.jobs.values()
    settings = job["body"]["settings"]
    assert (settings["seed"], settings["guidance_scale"], settings["steps"]) == (5, 3.0, 10)
    assert "2 frames in" in capsys.readouterr().out


def test_the_same_folder_again_gets_the_newer_result(ready, tmp_path):
    words = ["animate", "--reference", REFERENCE, "--consent", "--out", str(tmp_path / "out"), "--frames"]
    assert command_line.run([*words, "1-3"]) == 0
    (tmp_path / "out/shot.blend").write_text("mine")
    assert command_line.run([*words, "1-2"]) == 0
    assert sorted(path.name for path in (tmp_path / "out/frames").iterdir()) == ["000001.png", "000002.png"]
    assert (tmp_path / "out/shot.blend").read_text() == "mine"


@pytest.mark.parametrize("name", ["frames/0001.exr", "part_maps/deep/notes.txt", "video.mp4", "recipe.json"])
def test_a_folder_with_other_files_is_refused_before_anything_is_computed(ready, server, tmp_path, capsys, name):
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("rendered for a week")
    assert command_line.run(["animate", "--reference", REFERENCE, "--consent", "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert str(mine) in error
    assert "Choose another folder" in error
    assert mine.read_text() == "rendered for a week"
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == [mine]
    assert not server.jobs


def test_a_file_that_came_meanwhile_is_kept_and_the_result_is_named(ready, current, tmp_path, capsys, monkeypatch):
    mine = tmp_path / "out/frames/0001.exr"

    def follow(animation):
        mine.parent.mkdir(parents=True)
        mine.write_text("rendered meanwhile")
        return followed(animation)

    followed = command_line.follow
    monkeypatch.setattr(command_line, "follow", follow)
    assert command_line.run(["animate", "--reference", REFERENCE, "--consent", "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    (record,) = current.animations.history.records()
    assert str(mine) in error
    assert str(current.animations.history.folder(record.id).path) in error
    assert mine.read_text() == "rendered meanwhile"


def test_a_farm_names_its_server(ready, preferences, server, tmp_path, monkeypatch):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    words = ["animate", "--reference", REFERENCE, "--consent", "--server", server.url]
    for number, how in enumerate((["--token-file", str(tmp_path / "token")], [])):
        preferences.server, preferences.url, preferences.token = "LOCAL", "", ""
        monkeypatch.setenv("MAGICANIMATE_TOKEN", TOKEN)
        assert command_line.run([*words, *how, "--out", str(tmp_path / f"out{number}")]) == 0
    assert command_line.run([*words, "--token-file", "gone", "--out", str(tmp_path / "never")]) == 2


def test_the_result_can_be_saved_into_a_blend(ready, tmp_path):
    blend = tmp_path / "with result.blend"
    words = ["animate", "--reference", REFERENCE, "--consent", "--out", str(tmp_path / "out")]
    assert command_line.run([*words, "--plane", "--save", str(blend)]) == 0
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    assert any("demo weights" in obj.name for obj in bpy.data.objects)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--reference", "gone.png", "--consent"], "There is no file gone.png"),
        (["--reference", REFERENCE], "may be used"),
        ([], "No reference picture"),
        (["--reference", REFERENCE, "--consent", "--scene", "Nope"], "no scene “Nope”"),
        (["--reference", REFERENCE, "--consent", "--frames", "abc"], "--frames abc is not understood"),
        (["--reference", REFERENCE, "--consent", "--frames", "9-2"], "no frames to animate"),
        (["--reference", REFERENCE, "--consent", "--size", "12"], "--size 12 is not understood"),
        (["--reference", REFERENCE, "--consent", "--set", "colour=red"], "no setting “colour”"),
        (["--reference", REFERENCE, "--consent", "--character", "Cube"], "no armature “Cube”"),
    ],
)
def test_bad_input_is_one_line_and_status_2(ready, tmp_path, capsys, words, message):
    assert command_line.run(["animate", "--out", str(tmp_path / "out"), *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["labels", "colours", "iuv-bgr"])
def test_part_maps_are_exported(ready, tmp_path, capsys, kind):
    out = tmp_path / "maps"
    words = ["export-maps", "--out", str(out), "--frames", "1-3", "--size", "64x64", "--kind", kind]
    assert command_line.run(words) == 0
    assert sorted(path.name for path in out.iterdir()) == ["0001.png", "0002.png", "0003.png"]
    assert "Part map 3 of 3" in capsys.readouterr().out


def test_a_video_for_players_is_written_on_request(ready, tmp_path, capsys):
    av = pytest.importorskip("av", reason="PyAV reads the video back; not in every Blender's environment")
    words = ["export-maps", "--out", str(tmp_path / "maps"), "--frames", "1-2", "--size", "64x64", "--for-players"]
    path = tmp_path / "maps.mp4"
    assert command_line.run([*words, "--video", str(path)]) == 0
    with av.open(str(path)) as video:
        assert (video.streams.video[0].pix_fmt, video.streams.video[0].frames) == ("yuv420p", 2)
    capsys.readouterr()
    for wrong in ([], ["--video", str(tmp_path / "maps.mkv")]):
        assert command_line.run([*words, *wrong]) == 2
        assert "--video FILE.mp4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("video", "name", "pixels"),
    [
        ("_for_players.mp4", "part_maps_for_players.mp4", "yuv420p"),
        (".mp4", "part_maps.mp4", "yuv444p"),
    ],
)
def test_the_panel_offers_both_videos(ready, tmp_path, video, name, pixels):
    av = pytest.importorskip("av", reason="PyAV reads the video back; not in every Blender's environment")
    ready.frame_end = 2
    bpy.ops.magicanimate.export_maps(directory=str(tmp_path / "maps"), kind="colours", video=video)
    with av.open(str(tmp_path / "maps" / name)) as written:
        assert written.streams.video[0].pix_fmt == pixels
    items = bpy.ops.magicanimate.export_maps.get_rna_type().properties["video"].enum_items
    assert "Browsers" in items[".mp4"].description
    assert "not for reading labels back" in items["_for_players.mp4"].description


def test_exporting_without_a_character_is_status_2(scene, preferences, tmp_path, capsys):
    assert command_line.run(["export-maps", "--out", str(tmp_path / "maps")]) == 2
    assert "no rigged character" in capsys.readouterr().err


def test_words_that_are_no_command_are_status_2(addon, capsys):
    assert command_line.run(["dance"]) == 2
    assert command_line.run(["animate"]) == 2
    assert command_line.run(["--help"]) == 0


def test_a_failed_job_is_status_1(ready, server, tmp_path, capsys):
    def fail(handler):
        if handler.command == "PUT" and "/jobs/" in handler.path:
            handler.problem(507, "disk-full", "It is full", "Make room.")
            return True
        return False

    server.fault = fail
    words = ["animate", "--reference", REFERENCE, "--consent", "--out", str(tmp_path / "out")]
    assert command_line.run(words) == 1
    assert "It is full. Make room." in capsys.readouterr().err


def test_a_problem_of_the_scene_is_told_in_its_own_words(ready, server, tmp_path, capsys):
    ready.objects["Sample Female Body"].hide_render = True
    words = ["animate", "--reference", REFERENCE, "--consent", "--out", str(tmp_path / "out")]
    assert command_line.run(words) == 2
    output = capsys.readouterr()
    assert "Nothing of the character is drawn in this frame" in output.err
    assert "camera icon" in output.err
    assert "Cancelled" not in output.err
    assert output.err.count("\n") == 1
    assert not server.jobs


FARM = """
import os
import sys
import bpy
bpy.ops.preferences.addon_enable(module="magicanimate_blender")
bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
from magicanimate_blender.ui import command_line
os._exit(command_line.run(sys.argv[2:]))  # at once: what was not written by now is lost
"""


def test_a_farm_reads_the_log_line_by_line_and_as_utf8(stage_file, tmp_path):
    """In a process of its own, on a system whose output is not UTF-8."""
    (tmp_path / "farm.py").write_text(FARM)
    words = ["export-maps", "--scene", "Zoë 東京", "--out", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    environment["BLENDER_USER_RESOURCES"] = str(tmp_path / "user")
    command = [sys.executable, str(tmp_path / "farm.py"), str(stage_file), *words]
    done = subprocess.run(command, capture_output=True, env=environment, timeout=120)
    assert done.returncode == 2
    (error,) = (line for line in done.stderr.decode().splitlines() if line.startswith("error:"))
    assert "The file has no scene “Zoë 東京”" in error
    assert b"Traceback" not in done.stderr
