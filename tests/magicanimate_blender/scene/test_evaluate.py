"""What is drawn is what a render would draw: visibility, levels, instances; and the scene stays as it was."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from mathutils import Matrix, Quaternion

from magicanimate_blender.scene.characters import find_characters
from magicanimate_blender.scene.context import depsgraph_of
from magicanimate_blender.scene.errors import SceneError
from magicanimate_blender.scene.evaluate import GeometryCache, extract
from magicanimate_blender.scene.labels import label_character
from magicanimate_blender.scene.part_maps import draw_part_map, part_maps, read_frames
from magicanimate_blender.scene.roles import get_role, set_role


def add_wall(scene, location, size: float = 0.6) -> bpy.types.Object:
    mesh = bpy.data.meshes.new("Wall")
    corners = [(-size, 0, -size), (size, 0, -size), (size, 0, size), (-size, 0, size)]
    mesh.from_pydata(corners, [], [(0, 1, 2, 3)])
    wall = bpy.data.objects.new("Wall", mesh)
    wall.location = location
    scene.collection.objects.link(wall)
    return wall


def add_camera(scene) -> None:
    scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(scene.camera)
    scene.camera.matrix_world = Matrix.Translation((0, -4, 1)) @ Matrix.Rotation(1.5707963, 4, "X")


def draw(scene, character, frame: int = 20, size: int = 128) -> np.ndarray:
    return draw_part_map(scene, [character], frame, size, size)


def test_every_pixel_is_a_label(scene, walking):
    picture = draw_part_map(scene, [walking], 1, 96, 160)
    assert picture.shape == (160, 96)
    assert picture.dtype == np.uint8
    assert picture.max() <= 24
    assert 0.05 < (picture > 0).mean() < 0.5


def test_hidden_in_renders_is_not_drawn(scene, walking, body):
    draw(scene, walking)
    body(walking).hide_render = True
    with pytest.raises(SceneError, match="hidden in renders"):
        draw(scene, walking)
    body(walking).hide_render = False
    collection = bpy.data.collections.new("Hidden")
    scene.collection.children.link(collection)
    collection.objects.link(body(walking))
    scene.collection.objects.unlink(body(walking))
    collection.hide_render = True
    with pytest.raises(SceneError, match="hidden in renders"):
        draw(scene, walking)


def test_a_collection_hidden_in_the_viewport_only_is_drawn(scene, walking, body):
    seen = draw(scene, walking)
    collection = bpy.data.collections.new("Wardrobe")
    scene.collection.children.link(collection)
    collection.objects.link(body(walking))
    scene.collection.objects.unlink(body(walking))
    bpy.context.view_layer.layer_collection.children["Wardrobe"].hide_viewport = True
    np.testing.assert_array_equal(draw(scene, walking), seen)
    assert bpy.context.view_layer.layer_collection.children["Wardrobe"].hide_viewport


@pytest.mark.parametrize("hide", ["icon", "eye"])
def test_hidden_in_the_viewport_only_is_drawn_and_stays_hidden(scene, walking, body, hide):
    seen = draw(scene, walking)
    if hide == "icon":
        body(walking).hide_viewport = True
    else:
        body(walking).hide_set(True)
    np.testing.assert_array_equal(draw(scene, walking), seen)
    assert body(walking).hide_viewport == (hide == "icon")
    assert hide == "icon" or body(walking).hide_get()


def test_render_levels_and_modifiers_are_honoured_and_restored(scene, walking, body):
    subdivision = body(walking).modifiers.new("Subdivision", "SUBSURF")
    subdivision.levels, subdivision.render_levels = 0, 1
    rough = body(walking).modifiers.new("Only in the viewport", "DECIMATE")
    rough.ratio, rough.show_render = 0.02, False
    (reading,) = read_frames(scene, [walking], [20], 64, 64)
    assert len(reading.geometry.triangles) == 4 * 2 * len(body(walking).data.polygons)
    assert (subdivision.levels, rough.show_viewport) == (0, True)
    scene.render.use_simplify = True
    scene.render.simplify_subdivision, scene.render.simplify_subdivision_render = 6, 0
    (reading,) = read_frames(scene, [walking], [20], 64, 64)
    assert len(reading.geometry.triangles) < 3 * len(body(walking).data.polygons)
    assert scene.render.simplify_subdivision == 6


def test_an_occluder_hides_what_is_behind_it_and_an_ignored_object_nothing(scene, walking):
    open_view = draw(scene, walking)
    wall = add_wall(scene, (0.9, -0.6, 0.5))
    wall.parent = bpy.data.objects[walking.armature]
    set_role(wall, "ignore")
    np.testing.assert_array_equal(draw(scene, find_characters(scene)[0]), open_view)
    wall.location = (0, -0.6, 0.5)
    set_role(wall, "occlude")
    (character,) = find_characters(scene)
    assert character.occluders == ("Wall",)
    hidden = draw(scene, character)
    assert 0 < (hidden > 0).sum() < 0.8 * (open_view > 0).sum()
    assert set(np.unique(hidden[hidden != open_view])) == {0}
    set_role(wall, "body")
    assert get_role(wall) == "body"
    assert "magicanimate_role" not in wall


def test_two_characters_hide_each_other(scene, walking):
    alone = draw(scene, walking)
    from magicanimate_blender.scene.sample_character import add_sample_character

    other = add_sample_character(scene, "female")
    other.location = (0, -1.0, 0)
    characters = find_characters(scene)
    assert [character.armature for character in characters] == ["Sample Female", "Sample Male"]
    both = draw_part_map(scene, characters, 20, 128, 128)
    in_front = draw(scene, characters[0])
    np.testing.assert_array_equal(both[in_front > 0], in_front[in_front > 0])
    np.testing.assert_array_equal(both[in_front == 0], alone[in_front == 0])


def test_collection_instances_are_drawn(scene, walking, body):
    alone = draw(scene, walking)
    collection = bpy.data.collections.new("Actor")
    collection.objects.link(body(walking))
    empty = bpy.data.objects.new("Copy", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", collection
    empty.location = (0.4, -0.2, 0)
    scene.collection.objects.link(empty)
    assert (draw(scene, walking) > 0).sum() > 1.3 * (alone > 0).sum()
    empty.hide_render = True
    np.testing.assert_array_equal(draw(scene, walking), alone)


def test_scattered_instances_take_the_label_beneath(scene, walking, body):
    """Buttons, say: what geometry nodes instance has no labels of its own."""
    group = bpy.data.node_groups.new("Buttons", "GeometryNodeTree")
    group.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    group.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    nodes, links = group.nodes, group.links
    start, end = nodes.new("NodeGroupInput"), nodes.new("NodeGroupOutput")
    cube, scatter, join = (
        nodes.new(f"GeometryNode{name}") for name in ("MeshCube", "InstanceOnPoints", "JoinGeometry")
    )
    cube.inputs["Size"].default_value = (0.02, 0.02, 0.02)
    index, modulo, chosen = (nodes.new(name) for name in ("GeometryNodeInputIndex", "ShaderNodeMath", "ShaderNodeMath"))
    modulo.operation, chosen.operation = "MODULO", "LESS_THAN"
    modulo.inputs[1].default_value, chosen.inputs[1].default_value = 100, 0.5
    links.new(index.outputs[0], modulo.inputs[0])
    links.new(modulo.outputs[0], chosen.inputs[0])
    links.new(chosen.outputs[0], scatter.inputs["Selection"])
    links.new(start.outputs[0], scatter.inputs["Points"])
    links.new(cube.outputs[0], scatter.inputs["Instance"])
    links.new(start.outputs[0], join.inputs[0])
    links.new(scatter.outputs[0], join.inputs[0])
    links.new(join.outputs[0], end.inputs[0])
    (plain,) = read_frames(scene, [walking], [20], 64, 64)
    body(walking).modifiers.new("Buttons", "NODES").node_group = group
    (reading,) = read_frames(scene, [walking], [20], 128, 128)
    cubes = (len(reading.geometry.triangles) - len(plain.geometry.triangles)) / 12
    assert cubes == len(range(0, len(body(walking).data.vertices), 100))
    labels = reading.geometry.labels[-12:]
    assert len(set(labels)) == 1
    assert labels[0] > 0


def test_the_scene_stays_at_its_frame(scene, walking):
    scene.frame_set(7)
    drawing = part_maps(scene, [walking], range(1, 49), 64, 64)
    assert [next(drawing)[0], next(drawing)[0]] == [1, 2]
    assert scene.frame_current == 7
    assert len(bpy.data.scenes) == 2
    drawing.close()
    assert scene.frame_current == 7
    assert len(bpy.data.scenes) == 1


def test_a_pose_without_keys_enters_no_map_of_an_animated_bone(scene, walking):
    """It would be in the map of the current frame alone: a pop of one frame."""
    scene.frame_set(20)
    keyed = draw(scene, walking)
    bone = bpy.data.objects[walking.armature].pose.bones["left_shoulder"]
    bone.rotation_quaternion = posed = Quaternion((0.7, 0.2, 0.6, 0.1))
    np.testing.assert_array_equal(draw(scene, walking), keyed)
    list(read_frames(scene, [walking], [1, 30], 32, 32))
    assert scene.frame_current == 20
    assert tuple(bone.rotation_quaternion) == tuple(posed)


def test_a_pose_of_bones_without_animation_is_in_every_map(scene, sample):
    add_camera(scene)
    plain = {frame: draw(scene, sample, frame) for frame in (1, 5)}
    bpy.data.objects[sample.armature].pose.bones["left_shoulder"].rotation_quaternion = (0.7, 0.2, 0.6, 0.1)
    posed = {frame: draw(scene, sample, frame) for frame in (1, 5)}
    assert (posed[1] != plain[1]).sum() > 50
    np.testing.assert_array_equal(posed[1], posed[5])


def test_the_camera_of_a_marker_is_used_and_the_scene_keeps_its_own(scene, walking):
    first = scene.camera
    second = first.copy()
    second.location.x += 0.3
    scene.collection.objects.link(second)
    scene.timeline_markers.new("a", frame=1).camera = first
    scene.timeline_markers.new("b", frame=10).camera = second
    before, after = draw(scene, walking, 9), draw(scene, walking, 10)
    assert scene.camera == first
    scene.timeline_markers.clear()
    np.testing.assert_array_equal(draw(scene, walking, 9), before)
    assert (draw(scene, walking, 10) != after).any()
    scene.camera = second
    np.testing.assert_array_equal(draw(scene, walking, 10), after)


def test_whether_a_mesh_is_hidden_may_be_animated(scene, walking, body):
    obj = body(walking)
    for frame, hidden in ((1, False), (10, True), (20, False)):
        obj.hide_render = hidden
        obj.keyframe_insert("hide_render", frame=frame)
    assert draw(scene, walking, 5).any()
    with pytest.raises(SceneError, match="hidden in renders"):
        draw(scene, walking, 12)
    assert draw(scene, walking, 20).any()


def test_reading_may_be_drawn_in_another_thread(scene, walking):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        drawn = [pool.submit(reading.draw) for reading in read_frames(scene, [walking], [1, 10, 20], 64, 64)]
    for frame, future in zip([1, 10, 20], drawn, strict=True):
        np.testing.assert_array_equal(future.result(), draw(scene, walking, frame, 64))


def test_edits_between_frames_are_seen_by_a_kept_cache(scene, walking, body):
    label_character(walking)
    cache = GeometryCache()
    first = extract(scene, depsgraph_of(scene), [walking], cache)
    body(walking).data.transform(Matrix.Scale(2, 4))
    moved = extract(scene, depsgraph_of(scene), [walking], cache)
    assert np.array_equal(first.triangles, moved.triangles)
    assert np.ptp(moved.positions[:, 2]) > 1.5 * np.ptp(first.positions[:, 2])
    modifier = body(walking).modifiers.new("Triangulate", "TRIANGULATE")
    assert len(extract(scene, depsgraph_of(scene), [walking], cache).labels) == 2 * len(body(walking).data.polygons)
    body(walking).modifiers.remove(modifier)
    assert len(extract(scene, depsgraph_of(scene), [walking], cache).labels) == len(first.labels)


def test_another_scene_than_the_contexts_is_drawn(scene, walking):
    expected = draw(scene, walking)
    other = bpy.data.scenes.new("Other")
    with bpy.context.temp_override(scene=other, view_layer=other.view_layers[0]):
        np.testing.assert_array_equal(draw(scene, walking), expected)


def test_camera_missing_and_frames_without_area_are_said(scene, walking):
    from magicanimate_blender.densepose.errors import DensePoseError

    with pytest.raises(DensePoseError, match="no area"):
        draw_part_map(scene, [walking], 1, 0, 64)
    scene.camera.data.type = "PANO"
    with pytest.raises(DensePoseError, match="PANO"):
        draw(scene, walking)
    scene.camera = None
    with pytest.raises(SceneError, match="no camera"):
        draw(scene, walking)
    assert scene.frame_current == 1
