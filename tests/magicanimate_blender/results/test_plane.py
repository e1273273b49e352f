import bpy
import numpy as np
import pytest
from mathutils import Vector

from magicanimate_blender.results import add_plane, load_sequence, placement

CENTRE = (8, 8)


def colour(frame):
    return (20 + 20 * frame, 90, 160)


@pytest.mark.parametrize("first_file", [0, 1, 100])
def test_every_frame_shows_in_its_time_and_first_and_last_are_held(scene, make_clip, render, first_file):
    add_plane(scene, make_clip(count=6, start=10, first_file=first_file))
    shown = {frame: tuple(render(frame)[CENTRE][:3]) for frame in (1, 9, 10, 11, 15, 16, 40)}
    assert shown == {
        1: colour(0), 9: colour(0), 10: colour(0), 11: colour(1), 15: colour(5), 16: colour(5), 40: colour(5),
    }  # fmt: skip


@pytest.mark.parametrize(("fps", "expected"), [(12, [0, 0, 1, 1, 2, 2]), (48, [0, 2, 4, 5, 5, 5])])
def test_a_clip_of_another_rate_keeps_its_own_time(scene, make_clip, render, fps, expected):
    add_plane(scene, make_clip(count=6, fps=fps, start=10))
    shown = [tuple(render(10 + n)[CENTRE][:3]) for n in range(6)]
    assert shown == [colour(n) for n in expected]
    assert tuple(render(2)[CENTRE][:3]) == colour(0)


def test_a_clip_longer_than_blenders_default_of_100_frames_goes_on(scene, make_clip, render):
    clip = make_clip(count=8, fps=1, start=1)  # 8 frames over 192 scene frames
    add_plane(scene, clip)
    assert tuple(render(190)[CENTRE][:3]) == colour(7)


@pytest.mark.parametrize("view", ["Standard", "AgX", "Filmic", "Raw"])
def test_colours_come_out_as_delivered(scene, make_clip, render, view):
    scene.view_settings.view_transform = view
    scene.view_settings.exposure = 0.0 if view == "Raw" else 1.0
    for number, rgb in enumerate([(200, 160, 140), (70, 90, 110), (128, 128, 128), (255, 255, 255), (0, 0, 0)]):
        plane = add_plane(scene, make_clip(str(number), colour=rgb, count=1))
        assert np.abs(render(10)[CENTRE][:3].astype(int) - rgb).max() <= 1, (view, rgb)
        bpy.data.objects.remove(plane)


def test_the_figure_is_cut_out_by_its_matte(scene, make_clip, render):
    add_plane(scene, make_clip(mattes=True))
    picture = render(10)
    assert tuple(picture[8, 2]) == (*colour(0), 255)
    assert picture[8, 13, 3] == 0


@pytest.mark.parametrize("sensor_fit", ["AUTO", "VERTICAL"])
@pytest.mark.parametrize("kind", ["PERSP", "ORTHO"])
def test_the_plane_covers_exactly_what_the_camera_sees(scene, make_clip, kind, sensor_fit):
    camera = scene.camera
    camera.data.type, camera.data.sensor_fit, camera.data.shift_x = kind, sensor_fit, 0.2
    camera.location, camera.rotation_euler, camera.scale = (3, -5, 2), (1.2, 0.1, 0.6), (2, 2, 2)
    bpy.context.view_layer.update()
    clip = make_clip(size=(24, 16))
    plane = add_plane(scene, clip, depth=4.0)
    bpy.context.view_layer.update()
    scene.render.resolution_x, scene.render.resolution_y = clip.size
    from bpy_extras.object_utils import world_to_camera_view

    seen = [world_to_camera_view(scene, camera, plane.matrix_world @ v.co) for v in plane.data.vertices]
    expected = [(0, 0), (1, 0), (1, 1), (0, 1)]
    for point, (x, y) in zip(seen, expected, strict=True):
        assert tuple(point) == pytest.approx((x, y, 4.0), abs=1e-4)


def test_the_plane_follows_the_camera(scene, make_clip):
    plane = add_plane(scene, make_clip())
    bpy.context.view_layer.update()
    before = plane.matrix_world.translation.copy()
    scene.camera.location.x += 3
    bpy.context.view_layer.update()
    assert tuple(plane.matrix_world.translation - before) == pytest.approx((3, 0, 0), abs=1e-5)


def test_at_the_cursor_it_stands_upright_and_faces_the_camera(scene, make_clip):
    scene.camera.location = (10, 0, 3)
    bpy.context.view_layer.update()
    scene.cursor.location = (1, 2, 0)
    clip = make_clip(size=(16, 32))
    plane = add_plane(scene, clip, placement=placement.at_cursor(scene, clip.size, height=2.0))
    bpy.context.view_layer.update()
    corners = [plane.matrix_world @ v.co for v in plane.data.vertices]
    assert [c.z for c in corners] == pytest.approx([0, 0, 2, 2], abs=1e-5)
    assert (corners[1] - corners[0]).length == pytest.approx(1.0, abs=1e-5)
    normal = plane.matrix_world.to_3x3() @ Vector((0, 0, 1))
    assert normal.normalized().dot(Vector((9, -2, 0)).normalized()) == pytest.approx(1, abs=1e-4)


def test_the_depth_is_just_before_the_nearest_point_over_the_frames(scene):
    bpy.ops.mesh.primitive_cube_add(size=2)
    cube = bpy.context.object
    cube.location.z = 0
    cube.keyframe_insert("location", frame=1)
    cube.location.z = 3
    cube.keyframe_insert("location", frame=20)
    scene.frame_set(1)
    assert placement.depth_before(scene, [cube], [1, 20]) == pytest.approx(4 * placement.IN_FRONT, rel=1e-3)
    assert scene.frame_current == 1


def test_without_a_camera_the_message_says_what_to_do(scene, make_clip):
    scene.camera = None
    with pytest.raises(ValueError, match="has no camera"):
        add_plane(scene, make_clip())


def test_paths_are_relative_beside_a_saved_file(scene, make_clip, tmp_path):
    clip = make_clip()
    assert load_sequence(scene, clip).filepath == str(clip.frames / "000001.png")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert load_sequence(scene, make_clip("two")).filepath == "//two/frames/000001.png"
