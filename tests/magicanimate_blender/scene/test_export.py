"""Exported files hold exactly what was drawn, in every format; exports can stop and go on."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from PIL import Image

from magicanimate_blender.densepose.labels import PALETTE
from magicanimate_blender.raster.png import decode_labels
from magicanimate_blender.scene.errors import SceneError
from magicanimate_blender.scene.export import export_part_maps, export_video
from magicanimate_blender.scene.framing import frame_camera
from magicanimate_blender.scene.part_maps import draw_part_map, part_maps

SIZE = (96, 128)
FRAMES = [1, 13, 25]


@pytest.fixture
def drawn(scene, walking) -> dict[int, np.ndarray]:
    return dict(part_maps(scene, [walking], FRAMES, *SIZE))


def export(scene, walking, folder, kind, **options):
    return list(export_part_maps(scene, [walking], FRAMES, folder, kind, SIZE, **options))


def test_labels_and_colours_are_what_was_drawn(scene, walking, drawn, tmp_path):
    steps = export(scene, walking, tmp_path / "labels", "labels")
    assert [(step.frame, step.path.name, step.done, step.total) for step in steps] == [
        (1, "0001.png", 1, 3),
        (13, "0013.png", 2, 3),
        (25, "0025.png", 3, 3),
    ]
    for step in steps:
        np.testing.assert_array_equal(decode_labels(step.path.read_bytes()), drawn[step.frame])
    for step in export(scene, walking, tmp_path / "colours", "colours"):
        with Image.open(step.path) as picture:
            assert picture.mode == "RGB"
            np.testing.assert_array_equal(np.array(picture), PALETTE[drawn[step.frame]])


def test_iuv_in_both_channel_orders(scene, walking, drawn, tmp_path):
    bgr, rgb = (export(scene, walking, tmp_path / kind, kind)[1] for kind in ("iuv-bgr", "iuv-rgb"))
    with Image.open(bgr.path) as first, Image.open(rgb.path) as second:
        as_opencv_writes, picture = np.array(first), np.array(second)
    np.testing.assert_array_equal(as_opencv_writes[..., ::-1], picture)
    np.testing.assert_array_equal(picture[..., 0], drawn[13])
    assert (picture[drawn[13] == 0] == 0).all()
    # U falls with height on the torso, V toward the subject's left, which is right in the picture
    rows, columns = np.nonzero(drawn[13] == 2)
    u, v = picture[rows, columns, 1].astype(float), picture[rows, columns, 2].astype(float)
    assert np.corrcoef(rows, u)[0, 1] > 0.95
    assert np.corrcoef(columns, v)[0, 1] < -0.9


def test_u_and_v_stay_with_the_surface_when_it_moves(scene, walking, tmp_path):
    export(scene, walking, tmp_path / "one", "iuv-rgb")
    armature = bpy.data.objects[walking.armature]
    armature.location, armature.rotation_euler = (3, 1, 0), (0, 0, 1)
    scene.camera.matrix_world = armature.matrix_basis @ scene.camera.matrix_world
    with Image.open(tmp_path / "one" / "0001.png") as picture:
        one = np.array(picture).astype(int)
    with Image.open(export(scene, walking, tmp_path / "two", "iuv-rgb")[0].path) as picture:
        two = np.array(picture).astype(int)
    same = one[..., 0] == two[..., 0]
    assert same.mean() > 0.999
    assert np.abs(one - two)[same].max() <= 2


def test_an_export_can_stop_and_go_on(scene, walking, tmp_path):
    scene.frame_set(5)
    exporting = export_part_maps(scene, [walking], FRAMES, tmp_path, "labels", SIZE)
    next(exporting)
    exporting.close()
    assert scene.frame_current == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0001.png"]
    steps = export(scene, walking, tmp_path, "labels", resume=True)
    assert [step.written for step in steps] == [False, True, True]
    assert [step.written for step in export(scene, walking, tmp_path, "labels")] == [True] * 3


def test_mittens_close_the_fingers(scene, walking, tmp_path):
    frame_camera(scene, [walking], [19])
    open_hand = draw_part_map(scene, [walking], 19, 256, 256)
    closed = draw_part_map(scene, [walking], 19, 256, 256, mitten=True)
    assert (closed == 3).sum() > (open_hand == 3).sum()
    unchanged = np.isin(closed, [1, 2, *range(5, 25)])
    np.testing.assert_array_equal(closed[unchanged], open_hand[unchanged])


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_videos_keep_every_label(scene, walking, drawn, tmp_path, suffix):
    files = [step.path for step in export(scene, walking, tmp_path / "colours", "colours")]
    path, seen = tmp_path / f"maps{suffix}", []
    export_video(files, path, 29.97, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert len(bpy.data.scenes) == 1
    assert path.stat().st_size > 1000
    av = pytest.importorskip("av", reason="PyAV reads the video back; not in every Blender's environment")
    with av.open(str(path)) as video:
        assert float(video.streams.video[0].average_rate) == pytest.approx(29.97, abs=0.01)
        pictures = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(pictures) == len(FRAMES)
    for picture, labels in zip(pictures, drawn.values(), strict=True):
        error = np.abs(picture.astype(int) - PALETTE[labels]).max()
        assert error <= (0 if suffix == ".mkv" else 3)
        distances = ((picture[..., None, :].astype(int) - PALETTE) ** 2).sum(-1)
        np.testing.assert_array_equal(distances.argmin(-1), labels)


@pytest.mark.parametrize("mine", [b"", b"a render of last week", b"\x89PNG\r\n\x1a\n" + b"x" * 90])
def test_pictures_that_are_no_exported_maps_are_not_replaced(scene, walking, tmp_path, mine):
    path = tmp_path / f"{list(FRAMES)[1]:04d}.png"
    path.write_bytes(mine)
    with pytest.raises(SceneError, match="no exported part map"):
        list(export(scene, walking, tmp_path, "labels"))
    assert path.read_bytes() == mine
    assert list(tmp_path.iterdir()) == [path]


def test_an_export_replaces_an_earlier_one(scene, walking, tmp_path):
    for kind in ("labels", "colours", "iuv-bgr"):
        steps = list(export(scene, walking, tmp_path, kind))
        assert all(step.written for step in steps)
        assert all(Image.open(step.path).text == {"Software": "MagicAnimate part map"} for step in steps)


def test_a_video_for_players_is_yuv420p_and_the_lossless_one_is_not(scene, walking, tmp_path):
    av = pytest.importorskip("av", reason="PyAV reads the video back; not in every Blender's environment")
    steps = list(export(scene, walking, tmp_path / "colours", "colours"))
    files = [step.path for step in steps]
    pictures = {}
    for for_players in (False, True):
        path = tmp_path / f"{for_players}.mp4"
        export_video(files, path, 24, for_players=for_players)
        with av.open(str(path)) as video:
            pictures[video.streams.video[0].pix_fmt] = next(video.decode(video=0)).to_ndarray(format="rgb24")
    assert pictures.keys() == {"yuv444p", "yuv420p"}
    difference = np.abs(pictures["yuv444p"].astype(int) - pictures["yuv420p"])
    assert np.median(difference) <= 3  # the same picture
    assert difference.max() > 30  # whose borders blend
    with pytest.raises(SceneError, match="every player"):
        export_video(files, tmp_path / "maps.mkv", 24, for_players=True)


def test_what_cannot_be_written_is_said(scene, walking, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SceneError, match="cannot be written"):
        export(scene, walking, tmp_path / "file" / "maps", "labels")
    with pytest.raises(SceneError, match="no kind"):
        export(scene, walking, tmp_path, "crayon")
    with pytest.raises(SceneError, match=r"Name it \.mp4"):
        export_video([tmp_path / "file"], tmp_path / "maps.avi", 24)
    with pytest.raises(SceneError, match="no frames"):
        export_video([], tmp_path / "maps.mp4", 24)
    with pytest.raises(SceneError, match=r"“0007\.png” is missing"):
        export_video([tmp_path / "0007.png"], tmp_path / "maps.mp4", 24)
