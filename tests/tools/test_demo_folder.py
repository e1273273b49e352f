"""The demo, like the command line, replaces only what an earlier run of it left."""

import pytest

pytest.importorskip("torch")  # the demo runs where the server's packages are
demo = pytest.importorskip("tools.demo")

from magicanimate_blender.client import FileProblem  # noqa: E402


@pytest.mark.parametrize("name", ["frames/0001.exr", "part_maps/notes.txt", "scene.blend", "summary.json"])
def test_a_folder_with_other_files_is_refused(tmp_path, name):
    mine = tmp_path / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(FileProblem, match=mine.name):
        demo.demo(tmp_path)
    assert mine.read_text() == "mine"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]
