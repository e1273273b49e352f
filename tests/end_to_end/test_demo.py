"""The demo as a person runs it, and what it leaves, read back: files, recipe, and the scene in a Blender of its own."""

import json
import subprocess
import sys
from pathlib import Path

import av
import bpy
import numpy as np
import pytest
from PIL import Image

from inference_server.media.labels import PALETTE

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 24


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "out"
    done = subprocess.run(
        [sys.executable, "-m", "tools.demo", "--out", str(folder), "--steps", "2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return folder


@pytest.fixture
def scene(out: Path) -> bpy.types.Scene:
    bpy.ops.wm.open_mainfile(filepath=str(out / "scene.blend"))
    return bpy.context.scene


def pictures(folder: Path) -> list[np.ndarray]:
    paths = sorted(folder.iterdir())
    assert [path.name for path in paths] == [f"{number:06d}.png" for number in range(1, FRAMES + 1)]
    return [np.asarray(Image.open(path).convert("RGB")) for path in paths]


def test_part_maps_show_a_person_that_moves_in_exact_colours(out: Path) -> None:
    maps = pictures(out / "part_maps")
    colours = {tuple(colour) for colour in PALETTE.tolist()}
    for labels in maps:
        assert {tuple(colour) for colour in np.unique(labels.reshape(-1, 3), axis=0).tolist()} <= colours
        figure = (labels != PALETTE[0]).any(axis=2)
        assert np.ptp(np.nonzero(figure.any(axis=1))[0]) > len(figure) / 2, "the figure is too small"
    assert len({labels.tobytes() for labels in maps}) > FRAMES / 2


def test_frames_and_video_show_the_same(out: Path) -> None:
    frames = pictures(out / "frames")
    assert len({frame.tobytes() for frame in frames}) == FRAMES
    with av.open(out / "video.mp4") as video:
        decoded = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        rate = float(video.streams.video[0].average_rate)
    assert rate == json.loads((out / "summary.json").read_text())["fps"]
    assert len(decoded) == FRAMES
    for frame, shown in zip(frames, decoded, strict=True):
        assert np.abs(frame.astype(int) - shown).mean() < 12  # H.264 halves the colours' resolution


def test_recipe_and_summary_say_how_it_was_made(out: Path) -> None:
    recipe, summary = (json.loads((out / name).read_text()) for name in ("recipe.json", "summary.json"))
    assert (recipe["frames"], recipe["settings"]["steps"], recipe["weights"]) == (FRAMES, 2, "demo")
    assert summary["frames"] == FRAMES
    assert {"scene", "server", "part maps", "animation", "plane"} == set(summary["seconds"])
    assert {"blender", "torch", "magicanimate-inference-server"} <= set(summary["versions"])


def test_contact_sheet_has_six_frames(out: Path) -> None:
    width, height = Image.open(out / "contact_sheet.png").size
    assert (width, height) == (6 * height // 3, height)


def test_the_scene_holds_the_character_and_a_plane_over_its_frames(scene: bpy.types.Scene, out: Path) -> None:
    assert (scene.frame_start, scene.frame_end) == (1, 48)
    assert [obj for obj in scene.objects if obj.type == "ARMATURE"]
    (image,) = [image for image in bpy.data.images if image.source == "SEQUENCE"]
    assert image.filepath.startswith("//"), "the folder can't be moved"
    assert Path(bpy.path.abspath(image.filepath)).resolve() == (out / "frames/000001.png").resolve()


@pytest.mark.parametrize("frame", [1, 24, 47])
def test_the_camera_sees_the_clip_as_it_was_delivered(
    scene: bpy.types.Scene, out: Path, tmp_path: Path, frame: int
) -> None:
    """Cycles renders the plane at that scene frame; the clip has every second frame of the scene."""
    delivered = np.asarray(Image.open(out / f"frames/{(frame + 1) // 2:06d}.png").convert("RGB")).astype(int)
    height, width, _ = delivered.shape
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 1
    scene.cycles.use_denoising = False
    scene.cycles.pixel_filter_type = "BOX"
    scene.cycles.filter_width = 0.01
    scene.render.dither_intensity = 0
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.render.filepath = str(tmp_path / "seen.png")
    scene.frame_set(frame)
    bpy.ops.render.render(write_still=True)
    seen = np.asarray(Image.open(tmp_path / "seen.png").convert("RGB")).astype(int)
    assert np.abs(seen - delivered).mean() < 6
