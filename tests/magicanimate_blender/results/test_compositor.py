import bpy
import numpy as np
import pytest

from magicanimate_blender.results import add_to_compositor, refresh, remove
from tests.magicanimate_blender.results.conftest import read_png, write_png


@pytest.fixture
def red_floor(scene):
    """A red world behind everything, so that the render under the clip is seen."""
    scene.render.film_transparent = False
    world = scene.world or bpy.data.worlds.new("World")
    scene.world = world
    if not world.node_tree:
        world.use_nodes = True
    background = next(n for n in world.node_tree.nodes if n.type == "BACKGROUND")
    background.inputs["Color"].default_value = (1, 0, 0, 1)


def test_the_clip_lies_over_the_render_cut_out(scene, make_clip, render, red_floor):
    add_to_compositor(scene, make_clip(mattes=True))
    picture = render(12)
    assert tuple(picture[8, 2][:3]) == (60, 90, 160)
    assert tuple(picture[8, 13][:3]) == (255, 0, 0)


def test_without_mattes_it_covers_the_render(scene, make_clip, render, red_floor):
    add_to_compositor(scene, make_clip(fps=12))
    assert tuple(render(12)[8, 13][:3]) == (40, 90, 160)
    assert tuple(render(13)[8, 13][:3]) == (40, 90, 160)


def test_a_small_clip_covers_the_side_that_the_camera_covered(scene, make_clip, render, red_floor):
    scene.render.resolution_x, scene.render.resolution_y = 32, 16
    add_to_compositor(scene, make_clip(size=(16, 16)))
    picture = render(10)
    assert tuple(picture[2, 2][:3]) == tuple(picture[13, 29][:3]) == (20, 90, 160)


def test_two_clips_stack_and_leave_one_after_the_other(scene, make_clip, render, red_floor):
    add_to_compositor(scene, make_clip("under", colour=(10, 200, 10)))
    add_to_compositor(scene, make_clip("over", colour=(10, 10, 200), mattes=True))
    assert tuple(render(10)[8, 2][:3]) == (10, 10, 200)
    assert tuple(render(10)[8, 13][:3]) == (10, 200, 10)
    remove("under")
    assert tuple(render(10)[8, 2][:3]) == (10, 10, 200)
    assert tuple(render(10)[8, 13][:3]) == (255, 0, 0)
    remove("over")
    assert tuple(render(10)[8, 2][:3]) == (255, 0, 0)
    assert not [image for image in bpy.data.images if image.source != "VIEWER"]  # Blender's own: render, viewer


def framed_clip(make_clip, size=(16, 16)):
    """A green picture with a blue pixel frame, so that its place in the render is seen to the pixel."""
    clip = make_clip(size=size, colour=(10, 200, 10))
    picture = np.full((size[1], size[0], 3), (10, 200, 10), np.uint8)
    picture[[0, -1]] = picture[:, [0, -1]] = (10, 10, 200)
    for file in clip.frames.iterdir():
        write_png(file, picture)
    return clip


def extent(picture):
    """Width and height of what is not the red floor."""
    covered = picture[:, :, 0] < 250
    return int(covered.any(0).sum()), int(covered.any(1).sum())


def about(size):
    """Before Blender 5.0 the border fades, over about a pixel of the picture; later it may be a pixel wider."""
    return pytest.approx(size, abs=1 if bpy.app.version >= (5, 0, 0) else 2)


RESOLUTIONS = [((64, 36), 100, (64, 36)), ((64, 36), 50, (32, 18)), ((36, 64), 100, (36, 64)), ((20, 20), 75, (15, 15))]


@pytest.mark.parametrize(("size", "percentage", "render_size"), RESOLUTIONS)
def test_the_scale_follows_every_render_size(scene, make_clip, render, red_floor, size, percentage, render_size):
    """Added at 16 x 16; with Auto a square picture covers the longer side, and so all of the render."""
    add_to_compositor(scene, framed_clip(make_clip))
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.render.resolution_percentage = percentage
    picture = render(10)
    assert picture.shape[1::-1] == render_size
    assert extent(picture) == about(render_size)
    middle = picture[picture.shape[0] // 2].astype(int)
    assert tuple(middle[len(middle) // 2][:3]) == tuple(middle[len(middle) // 6][:3]) == (10, 200, 10)
    if render_size[0] > 16 and size[0] >= size[1]:  # the blue frame lies on the render's sides
        assert min(middle[0][2], middle[-1][2]) > 60


def test_a_sensor_that_fits_the_height_leaves_the_sides(scene, make_clip, render, red_floor):
    add_to_compositor(scene, framed_clip(make_clip))
    scene.camera.data.sensor_fit = "VERTICAL"
    scene.render.resolution_x, scene.render.resolution_y = 64, 36
    assert extent(render(10)) == about((36, 36))
    scene.render.resolution_percentage = 50
    assert extent(render(10)) == about((18, 18))
    scene.camera.data.sensor_fit = "HORIZONTAL"
    assert extent(render(10)) == about((32, 18))


def test_a_picture_of_other_proportions(scene, make_clip, render, red_floor):
    add_to_compositor(scene, framed_clip(make_clip, (16, 32)))
    scene.render.resolution_x, scene.render.resolution_y = 64, 40  # Auto: the larger side is the same, 64
    assert extent(render(10)) == about((32, 40))


def test_the_driver_needs_no_permission_to_run_scripts(scene, make_clip):
    group = add_to_compositor(scene, make_clip()).node_tree
    scales = [curve for curve in group.animation_data.drivers if "inputs" in curve.data_path]
    assert len(scales) >= 2
    assert all(curve.driver.is_simple_expression for curve in scales)


def test_another_scene_that_uses_the_group_is_followed(scene, make_clip, render, red_floor, tmp_path):
    node = add_to_compositor(scene, framed_clip(make_clip))
    other = scene.copy()
    other.render.resolution_x = other.render.resolution_y = 40
    assert node.node_tree.users >= 1
    other.render.filepath = str(tmp_path / "other.png")
    bpy.ops.render.render(write_still=True, scene=other.name)
    picture = read_png(tmp_path / "other.png")
    assert (picture.shape[:2], extent(picture)) == ((40, 40), about((40, 40)))
    assert tuple(picture[20, 20][:3]) == (10, 200, 10)


def test_refreshing_takes_up_a_clip_of_another_size(scene, make_clip, render, red_floor):
    add_to_compositor(scene, make_clip("old"))
    refresh(scene, make_clip("new", size=(8, 8), colour=(5, 250, 5)), replaces="old")
    assert tuple(render(10)[1, 1][:3]) == (5, 250, 5)
