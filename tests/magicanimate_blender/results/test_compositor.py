import bpy
import pytest

from magicanimate_blender.results import add_to_compositor, refresh, remove


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


def test_a_new_resolution_is_taken_up_by_refreshing(scene, make_clip, render, red_floor):
    clip = make_clip()
    add_to_compositor(scene, clip)
    scene.render.resolution_x = scene.render.resolution_y = 32
    refresh(scene, clip)
    assert tuple(render(10)[1, 1][:3]) == (20, 90, 160)
