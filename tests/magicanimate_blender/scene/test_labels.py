"""Labels on meshes: right at rest, kept through modifiers, and a clear sentence where they cannot be had."""

from __future__ import annotations

import math

import bmesh
import bpy
import numpy as np
import pytest
from mathutils import Matrix

from magicanimate_blender.densepose.labels import LABELS, MIRROR
from magicanimate_blender.scene.attribute import LABEL_ATTRIBUTE, paint_labels, read_labels
from magicanimate_blender.scene.characters import find_characters, require_characters
from magicanimate_blender.scene.errors import SceneError
from magicanimate_blender.scene.labels import label_character
from magicanimate_blender.scene.part_maps import draw_part_map
from magicanimate_blender.scene.rigging import add_skinned_mesh, add_smplx_armature
from magicanimate_blender.scene.roles import set_role

HEAD = {23, 24}


def sphere(name: str, location, radius: float) -> bpy.types.Object:
    mesh = bpy.data.meshes.new(name)
    shape = bmesh.new()
    bmesh.ops.create_uvsphere(shape, u_segments=12, v_segments=8, radius=radius)
    shape.to_mesh(mesh)
    shape.free()
    obj = bpy.data.objects.new(name, mesh)
    obj.location = location
    return obj


def parent_to_bone(obj: bpy.types.Object, armature: bpy.types.Object, bone: str) -> None:
    """As Ctrl P > Bone does: the object stays where it is."""
    world = obj.matrix_world.copy() if obj.users_scene else Matrix.Translation(obj.location)
    obj.parent, obj.parent_type, obj.parent_bone = armature, "BONE", bone
    bpy.context.view_layer.update()
    obj.matrix_world = world


def keep_faces(obj: bpy.types.Object, keep: np.ndarray) -> None:
    """Delete the other faces, and the vertices that nothing uses."""
    shape = bmesh.new()
    shape.from_mesh(obj.data)
    faces = [face for face in shape.faces if not keep[face.index]]
    bmesh.ops.delete(shape, geom=faces, context="FACES")
    shape.to_mesh(obj.data)
    shape.free()


def copy_of(obj: bpy.types.Object, name: str) -> bpy.types.Object:
    other = obj.copy()
    other.data = obj.data.copy()
    other.name = name
    obj.users_collection[0].objects.link(other)
    return other


def test_all_parts_are_found_on_their_sides(sample, body, centres):
    report = label_character(sample)
    assert report.family == "SMPL-X"
    assert report.labelled == sample.meshes
    mesh = body(sample).data
    labels, x = read_labels(mesh), centres(mesh)[:, 0]
    assert set(labels) == set(range(1, 25))
    for row in LABELS:
        if "left" in row.name:
            assert (x[labels == row.label] > 0).all(), row.name
        if "right" in row.name:
            assert (x[labels == row.label] < 0).all(), row.name


def test_a_symmetric_body_gets_mirrored_labels(sample, body, centres):
    label_character(sample)
    mesh = body(sample).data
    labels, points = read_labels(mesh), centres(mesh)
    where = {tuple(point): label for point, label in zip(np.rint(points * 1e4).astype(int), labels, strict=True)}
    mirrored = np.rint(points * (-1e4, 1e4, 1e4)).astype(int)
    pairs = [(label, where.get(tuple(point))) for point, label in zip(mirrored, labels, strict=True)]
    pairs = [(label, other) for label, other in pairs if other is not None]
    assert len(pairs) > 0.9 * len(labels)
    assert np.mean([MIRROR[label] == other for label, other in pairs]) > 0.999


def test_labels_painted_by_hand_stay_until_relabelled(sample, body):
    label_character(sample)
    before = read_labels(body(sample).data)
    assert paint_labels(body(sample), 3, faces=[5, 6, 7]) == 3
    report = label_character(sample)
    assert report.kept == sample.meshes
    assert read_labels(body(sample).data)[[5, 6, 7]].tolist() == [3, 3, 3]
    assert label_character(sample, relabel=True).labelled == sample.meshes
    np.testing.assert_array_equal(read_labels(body(sample).data), before)


def test_painting_in_edit_mode_paints_the_selection(scene, sample, body):
    label_character(sample)
    bpy.context.view_layer.objects.active = body(sample)
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    assert paint_labels(body(sample), 7) == len(body(sample).data.polygons)
    assert body(sample).mode == "EDIT"
    bpy.ops.object.mode_set(mode="OBJECT")
    assert set(read_labels(body(sample).data)) == {7}


def test_painted_faces_are_drawn_as_painted(scene, walking, body):
    label_character(walking)
    paint_labels(body(walking), 3, faces=range(len(body(walking).data.polygons)))
    assert set(np.unique(draw_part_map(scene, [walking], width=128, height=128))) == {0, 3}


def test_clothes_take_the_labels_of_the_body_beneath(scene, sample, body, centres):
    """A shirt of the same rig: no legs, no head; measured by the body, labelled by its own weights."""
    whole = body(sample)
    label_character(sample)
    labels, points = read_labels(whole.data), centres(whole.data)
    shirt = copy_of(whole, "Shirt")
    keep = np.isin(labels, [1, 2, 15, 16, 17, 18]) & (points[:, 2] > 0.95)
    shirt.data.attributes.remove(shirt.data.attributes[LABEL_ATTRIBUTE])
    keep_faces(shirt, keep)
    (character,) = find_characters(scene)
    report = label_character(character)
    assert report.labelled == ("Shirt",)
    assert report.kept == (whole.name,)
    assert (read_labels(shirt.data) == labels[keep]).mean() > 0.97


def test_a_hat_on_the_head_bone_is_head_in_any_pose(scene, walking):
    scene.frame_set(20)
    armature = bpy.data.objects[walking.armature]
    head = armature.matrix_world @ armature.pose.bones["head"].head
    hat = sphere("Hat", (head.x, head.y, head.z + 0.25), 0.12)
    scene.collection.objects.link(hat)
    bpy.context.view_layer.update()
    parent_to_bone(hat, armature, "head")
    (character,) = find_characters(scene)
    assert "Hat" in character.meshes
    label_character(character)
    assert set(read_labels(hat.data)) == HEAD


def test_hair_without_weights_takes_the_nearest_surface(scene, sample):
    armature = bpy.data.objects[sample.armature]
    hair = sphere("Hair", armature.data.bones["head"].tail_local, 0.1)
    scene.collection.objects.link(hair)
    hair.parent = armature
    bpy.context.view_layer.update()
    (character,) = find_characters(scene)
    assert label_character(character).nearest == ("Hair",)
    assert set(read_labels(hair.data)) == HEAD


@pytest.mark.parametrize("kind", ["SUBSURF", "SOLIDIFY", "DECIMATE", "TRIANGULATE", "BEVEL", "WEIGHTED_NORMAL"])
def test_labels_survive_modifiers(scene, walking, body, kind):
    plain = draw_part_map(scene, [walking], 20, 192, 192)
    modifier = body(walking).modifiers.new("Test", kind)
    if kind == "DECIMATE":
        modifier.ratio = 0.5
    if kind in ("SOLIDIFY", "BEVEL"):
        setattr(modifier, "thickness" if kind == "SOLIDIFY" else "width", 0.0005)
    changed = draw_part_map(scene, [walking], 20, 192, 192)
    drawn = (plain > 0) | (changed > 0)
    assert (plain != changed)[drawn].mean() < 0.1  # along the borders, which run between whole faces now
    assert set(np.unique(changed)) <= set(range(25))


def test_shape_keys_do_not_move_the_labels(scene, sample, body):
    label_character(sample)
    before = read_labels(body(sample).data)
    obj = body(sample)
    obj.shape_key_add(name="Basis")
    key = obj.shape_key_add(name="Huge")
    for point in key.data:
        point.co *= 3
    key.value = 1
    label_character(sample, relabel=True)
    np.testing.assert_array_equal(read_labels(obj.data), before)


def test_a_mirrored_half_is_drawn_as_the_whole(scene, walking, body, centres):
    whole = draw_part_map(scene, [walking], 20, 256, 256)
    obj = body(walking)
    keep_faces(obj, centres(obj.data)[:, 0] > 0)
    obj.data.attributes.remove(obj.data.attributes[LABEL_ATTRIBUTE])
    mirror = obj.modifiers.new("Mirror", "MIRROR")
    obj.modifiers.move(1, 0)
    assert obj.modifiers[0] == mirror
    (character,) = find_characters(scene)
    half = draw_part_map(scene, [character], 20, 256, 256)
    drawn = (whole > 0) | (half > 0)
    assert (whole != half)[drawn].mean() < 0.05
    for label in range(1, 25):
        assert abs((whole == label).sum() - (half == label).sum()) < 0.25 * (whole == label).sum() + 12, label


def geometry_nodes(obj: bpy.types.Object, build) -> bpy.types.Modifier:
    group = bpy.data.node_groups.new("Nodes", "GeometryNodeTree")
    group.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    group.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    start, end = group.nodes.new("NodeGroupInput"), group.nodes.new("NodeGroupOutput")
    group.links.new(build(group, start.outputs[0]), end.inputs[0])
    modifier = obj.modifiers.new("Nodes", "NODES")
    modifier.node_group = group
    return modifier


def test_geometry_nodes_keep_labels(scene, walking, body):
    plain = draw_part_map(scene, [walking], 20, 128, 128)

    def moved(group, geometry):
        node = group.nodes.new("GeometryNodeSetPosition")
        group.links.new(geometry, node.inputs["Geometry"])
        return node.outputs[0]

    geometry_nodes(body(walking), moved)
    np.testing.assert_array_equal(draw_part_map(scene, [walking], 20, 128, 128), plain)


def test_a_modifier_that_drops_labels_is_named(scene, walking, body):
    label_character(walking)
    smooth = body(walking).modifiers.new("Smooth it", "SUBSURF")
    smooth.levels = smooth.render_levels = 0
    remesh = body(walking).modifiers.new("Make clay", "REMESH")
    remesh.mode, remesh.voxel_size = "VOXEL", 0.05
    body(walking).modifiers.new("Thicken", "SOLIDIFY").thickness = 0.001
    with pytest.raises(SceneError, match=r"“Make clay”.*drops the part labels"):
        draw_part_map(scene, [walking], 20, 64, 64)
    assert [modifier.show_viewport for modifier in body(walking).modifiers] == [True] * 4
    set_role(body(walking), "ignore")


@pytest.mark.parametrize(
    "transform",
    [
        Matrix.Rotation(math.radians(90), 4, "X") @ Matrix.Scale(0.01, 4),
        Matrix.Translation((3, -2, 5)) @ Matrix.Rotation(2.0, 4, (1, 2, 3)),
    ],
    ids=["y-up-in-centimetres", "anywhere"],
)
def test_object_transforms_do_not_matter(scene, sample, body, transform):
    """As imported rigs come: the armature turned and scaled, its data the other way round."""
    label_character(sample)
    before = read_labels(body(sample).data)
    armature = bpy.data.objects[sample.armature]
    armature.data.transform(transform.inverted())
    body(sample).data.transform(transform.inverted())
    armature.matrix_world = transform
    bpy.context.view_layer.update()
    label_character(sample, relabel=True)
    assert (read_labels(body(sample).data) == before).mean() > 0.995


def test_errors_say_what_is_missing_and_what_mends_it(scene):
    def problem(call) -> str:
        with pytest.raises(SceneError) as caught:
            call()
        assert caught.value.message.endswith(".")
        assert caught.value.fix.endswith(".")
        return caught.value.message

    assert "no rigged character" in problem(lambda: require_characters(scene))
    joints = np.random.default_rng(1).normal(size=(55, 3))
    armature = add_smplx_armature(scene, "Bare", joints)
    assert "“Bare” carries no mesh" in problem(lambda: require_characters(scene))

    empty = add_skinned_mesh(armature, "Empty", np.zeros((0, 3)), np.zeros((0, 3), int), {})
    assert "no mesh with faces" in problem(lambda: label_character(require_characters(scene)[0]))

    bpy.data.objects.remove(empty)
    loose = add_skinned_mesh(armature, "Loose", np.eye(3), np.arange(3).reshape(1, 3), {})
    assert "No mesh of “Bare” is weighted" in problem(lambda: label_character(require_characters(scene)[0]))

    loose.vertex_groups.new(name="pelvis").add([0, 1, 2], 1.0, "REPLACE")
    assert "“Bare”: No vertex is weighted to the upper arm" in problem(
        lambda: label_character(require_characters(scene)[0])
    )

    for bone in armature.data.bones:
        bone.name = f"bone {len(bone.name)}"
    message = problem(lambda: label_character(require_characters(scene)[0]))
    assert "bone names" in message

    for bone, name in zip(armature.data.bones, ["hips", "spine", "head", "Arm.L", "Leg.L"], strict=False):
        bone.name = name
    assert "no bone for" in problem(lambda: label_character(require_characters(scene)[0]))


def test_faces_without_weights_take_the_nearest_and_are_drawn_so(scene, walking, body):
    """Eyes and teeth, say, that somebody forgot to weight."""
    expected = draw_part_map(scene, [walking], 1, 96, 96)
    label_character(walking)
    before = read_labels(body(walking).data)
    forgotten = [v.index for v in body(walking).data.vertices if v.co.z > 1.6]
    for group in body(walking).vertex_groups:
        group.remove(forgotten)
    label_character(walking, relabel=True)
    assert (read_labels(body(walking).data) == before).mean() > 0.98
    assert set(np.unique(draw_part_map(scene, [walking], 1, 96, 96))) == set(np.unique(expected))
