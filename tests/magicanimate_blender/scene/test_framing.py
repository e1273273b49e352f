"""The camera fits the character: head room, nothing cut, knees where asked; and a shot that strays is told."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from mathutils import Euler

from magicanimate_blender.scene.errors import SceneError
from magicanimate_blender.scene.framing import frame_camera, framing_warnings
from magicanimate_blender.scene.part_maps import draw_part_map, part_maps

FRAMES = range(1, 49, 12)
SIZE = (128, 160)


def union(scene, character, frames=FRAMES, size=SIZE) -> np.ndarray:
    return np.any([picture > 0 for _, picture in part_maps(scene, [character], frames, *size)], axis=0)


def rooms(drawn: np.ndarray) -> dict[str, float]:
    rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
    height, width = drawn.shape
    return {
        "top": rows[0] / height,
        "bottom": 1 - (rows[-1] + 1) / height,
        "left": columns[0] / width,
        "right": 1 - (columns[-1] + 1) / width,
    }


@pytest.mark.parametrize("kind", ["PERSP", "ORTHO"])
@pytest.mark.parametrize("shift", [0.0, 0.2])
def test_full_body_with_ten_per_cent_head_room(scene, walking, kind, shift):
    scene.camera.data.type = kind
    scene.camera.data.shift_x = scene.camera.data.shift_y = shift
    frame_camera(scene, [walking], FRAMES, size=SIZE)
    room = rooms(union(scene, walking))
    assert room["top"] == pytest.approx(0.10, abs=0.012)
    assert room["bottom"] == pytest.approx(0.06, abs=0.012)
    assert room["left"] == pytest.approx(room["right"], abs=0.02)
    assert room["left"] > 0.04


def test_a_narrow_picture_is_filled_from_side_to_side(scene, walking):
    frame_camera(scene, [walking], FRAMES, size=(60, 240))
    room = rooms(union(scene, walking, size=(60, 240)))
    assert room["left"] == pytest.approx(0.05, abs=0.02)
    assert room["right"] == pytest.approx(0.05, abs=0.02)
    assert room["top"] > 0.1


def test_knees_end_at_the_lower_edge(scene, walking):
    frame_camera(scene, [walking], FRAMES, crop="knees", size=SIZE)
    drawn = union(scene, walking)
    assert drawn[-1].any()
    assert rooms(drawn)["top"] == pytest.approx(0.10, abs=0.012)


def test_faces_the_front_wherever_the_character_looks(scene, walking):
    bpy.data.objects[walking.armature].rotation_euler = (0, 0, 2.0)
    bpy.data.objects[walking.armature].location = (5, -3, 2)
    frame_camera(scene, [walking], FRAMES, size=SIZE)
    picture = draw_part_map(scene, [walking], 1, *SIZE)
    assert (picture == 2).sum() > 20 * (picture == 1).sum()
    right, left = np.argwhere(picture == 23)[:, 1].mean(), np.argwhere(picture == 24)[:, 1].mean()
    assert right < left


def test_a_camera_that_looks_down_keeps_its_direction(scene, walking):
    scene.camera.rotation_euler = Euler((0.6, 0.1, 1.0))
    bpy.context.view_layer.update()
    before = scene.camera.matrix_world.to_quaternion()
    frame_camera(scene, [walking], FRAMES, face=False, size=SIZE)
    assert scene.camera.matrix_world.to_quaternion().rotation_difference(before).angle < 1e-3
    room = rooms(union(scene, walking))
    assert min(room.values()) > 0.035
    assert min(abs(room["top"] - 0.1), abs(room["left"] - 0.05)) < 0.015


def test_a_parented_camera_is_moved_and_an_animated_one_is_refused(scene, walking):
    parent = bpy.data.objects.new("Rig", None)
    scene.collection.objects.link(parent)
    parent.location = (3, 2, 1)
    scene.camera.parent = parent
    bpy.context.view_layer.update()
    frame_camera(scene, [walking], FRAMES, size=SIZE)
    assert rooms(union(scene, walking))["top"] == pytest.approx(0.10, abs=0.012)
    scene.camera.keyframe_insert("location", frame=1)
    with pytest.raises(SceneError, match="moved by its own keys"):
        frame_camera(scene, [walking], FRAMES)


def test_warnings(scene, walking):
    def told() -> str:
        return " ".join(note.message for note in framing_warnings(scene, [walking], [1, 20], size=SIZE))

    assert told() == ""
    start = scene.camera.matrix_world.copy()
    scene.camera.location.y -= 6
    assert "less than half as high" in told()
    scene.camera.matrix_world = start
    scene.camera.location.z -= 0.4
    assert "leaves the picture at its top at 2 frames, first at 1" in told()
    scene.camera.location.x += 30
    assert "out of the picture" in told()
    scene.camera.matrix_world = start
    (note,) = framing_warnings(scene, [walking], [1], size=SIZE, reference_size=(300, 200))
    assert "300 x 200" in note.message
    assert not framing_warnings(scene, [walking], [1], size=SIZE, reference_size=(1024, 1280))
