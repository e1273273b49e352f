"""Frame Character: nobody's camera is moved and no render changes its size, unless it was asked for."""

import bpy
import numpy as np
import pytest

from magicanimate_blender.scene.characters import find_characters
from magicanimate_blender.scene.own_camera import NAME
from magicanimate_blender.scene.part_maps import draw_part_map


@pytest.fixture
def film(stage):
    """The stage as an artist's shot: 1920 x 1080, with a camera of theirs."""
    bpy.data.cameras.remove(stage.camera.data)
    data = bpy.data.cameras.new("Hero")
    data.lens = 35
    stage.camera = bpy.data.objects.new("Hero", data)
    stage.collection.objects.link(stage.camera)
    stage.camera.location = (3, -4, 2)
    stage.render.resolution_x, stage.render.resolution_y = 1920, 1080
    bpy.context.view_layer.update()
    return stage


def facts(scene):
    """Everything of the artist's shot that framing might change."""
    hero, data = bpy.data.objects["Hero"], bpy.data.cameras["Hero"]
    render = scene.render
    return (
        [tuple(row) for row in hero.matrix_world],
        {
            name: getattr(data, name)
            for name in ("lens", "sensor_fit", "sensor_width", "sensor_height", "clip_end", "type")
        },
        (render.resolution_x, render.resolution_y, render.resolution_percentage),
        (render.pixel_aspect_x, render.pixel_aspect_y),
    )


def rows_of(scene, size):
    """Height of the figure in a picture, as a share; and whether it touches the border."""
    drawn = np.any([draw_part_map(scene, find_characters(scene), frame, *size) > 0 for frame in (1, 4)], axis=0)
    touches = drawn[[0, -1]].any() or drawn[:, [0, -1]].any()
    return drawn.any(1).mean(), bool(touches)


def test_the_artists_camera_and_resolution_stay(film):
    before = facts(film)
    bpy.ops.magicanimate.frame_camera()
    assert facts(film) == before
    assert (film.camera.name, film.camera.data.lens) == (NAME, 35)


def test_the_figure_is_whole_and_large_in_the_video_and_in_the_render(film):
    bpy.ops.magicanimate.frame_camera()
    height, cut = rows_of(film, (64, 64))
    assert (height > 0.75, cut) == (True, False)
    height, cut = rows_of(film, (192, 108))
    assert (height > 0.75, cut) == (True, False)


@pytest.mark.parametrize("resolution", [(1080, 1920), (1000, 1000)])
def test_so_it_is_in_renders_of_other_proportions(film, resolution):
    film.render.resolution_x, film.render.resolution_y = resolution
    bpy.ops.magicanimate.frame_camera()
    assert (film.render.resolution_x, film.render.resolution_y) == resolution
    assert rows_of(film, (64, 64))[0] > 0.75
    assert not rows_of(film, (resolution[0] // 10, resolution[1] // 10))[1]


def test_a_second_click_moves_our_camera_again(film):
    bpy.ops.magicanimate.frame_camera()
    ours, place = film.camera, film.camera.matrix_world.copy()
    bpy.ops.magicanimate.frame_camera(crop="knees")
    assert film.camera == ours
    assert film.camera.matrix_world != place
    film.camera = bpy.data.objects["Hero"]
    bpy.ops.magicanimate.frame_camera()
    assert film.camera == ours
    assert len(bpy.data.cameras) == 2


def test_a_camera_of_ours_that_the_artist_animated_is_theirs(film):
    bpy.ops.magicanimate.frame_camera()
    animated = film.camera
    animated.keyframe_insert("location", frame=1)
    place = animated.matrix_world.copy()
    bpy.ops.magicanimate.frame_camera()
    assert film.camera != animated
    assert animated.matrix_world == place


def test_the_active_camera_and_the_resolution_change_where_that_is_asked_for(film):
    hero = film.camera
    place = hero.matrix_world.copy()
    bpy.ops.magicanimate.frame_camera(camera="ACTIVE", set_resolution=True)
    assert film.camera == hero
    assert hero.matrix_world != place
    assert (film.render.resolution_x, film.render.resolution_y) == (1920, 1920)
    for name in ("camera", "set_resolution"):  # else the next click would do it again
        assert bpy.ops.magicanimate.frame_camera.get_rna_type().properties[name].is_skip_save


def test_a_framing_that_fails_changes_nothing(film):
    film.camera.keyframe_insert("location", frame=1)
    before = facts(film)
    with pytest.raises(RuntimeError, match="moved by its own keys"):
        bpy.ops.magicanimate.frame_camera(camera="ACTIVE", set_resolution=True)
    film.magicanimate.use_scene_range, film.magicanimate.frame_start, film.magicanimate.frame_end = False, 5, 4
    with pytest.raises(RuntimeError, match="no frames to fit"):
        bpy.ops.magicanimate.frame_camera(set_resolution=True)
    assert facts(film) == before
    assert film.camera.name == "Hero"
    assert len(bpy.data.cameras) == 1


def test_markers_that_choose_the_camera_are_told_of(film):
    film.timeline_markers.new("Cut", frame=1).camera = film.camera
    with pytest.raises(RuntimeError, match="Markers of “Scene” choose its camera"):
        bpy.ops.magicanimate.frame_camera()
    assert film.camera.name == "Hero"


def test_a_linked_camera_is_not_moved(film, tmp_path):
    bpy.data.libraries.write(str(tmp_path / "rig.blend"), {film.camera})
    bpy.data.objects.remove(film.camera)
    with bpy.data.libraries.load(str(tmp_path / "rig.blend"), link=True) as (_, target):
        target.objects = ["Hero"]
    film.collection.objects.link(target.objects[0])
    film.camera = target.objects[0]
    with pytest.raises(RuntimeError, match="linked from another file and can't be moved"):
        bpy.ops.magicanimate.frame_camera(camera="ACTIVE")
    bpy.ops.magicanimate.frame_camera()
    assert film.camera.name == NAME


def test_the_sample_scene_leaves_a_shot_its_camera_and_resolution(film):
    from magicanimate_blender.scene.sample_character import add_sample_scene

    before = facts(film)
    add_sample_scene(film)
    assert facts(film) == before
    assert film.camera.name == NAME
