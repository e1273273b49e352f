import bpy
import numpy as np

from magicanimate_blender.results import (
    add_plane,
    add_strip,
    add_to_compositor,
    load_sequence,
    refresh,
    remove,
    uses_of,
)
from magicanimate_blender.results.colours import match_view


def test_a_regenerated_clip_takes_the_place_of_the_old_one(scene, make_clip, render):
    old, new = make_clip("old"), make_clip("new", colour=(5, 250, 5), count=9)
    plane = add_plane(scene, old)
    assert tuple(render(10)[8, 8][:3]) == (20, 90, 160)
    refresh(scene, new, replaces="old")
    assert tuple(render(17)[8, 8][:3]) == (5, 250, 5)
    assert plane.name in bpy.data.objects
    assert not uses_of("old")
    assert uses_of("new").planes == 1


def test_files_written_anew_in_place_are_seen(scene, make_clip, render):
    clip = make_clip("one")
    newer = make_clip("two", colour=(250, 250, 5))
    add_plane(scene, clip)
    render(10)
    for file in newer.frames.iterdir():
        (clip.frames / file.name).write_bytes(file.read_bytes())
    refresh(scene, clip)
    assert tuple(render(10)[8, 8][:3]) == (250, 250, 5)


def test_a_strip_is_refreshed_with_its_length(scene, make_clip, render):
    strip = add_strip(scene, make_clip("old"))
    scene.render.use_sequencer = True
    assert tuple(render(10)[8, 8][:3]) == (20, 90, 160)
    refresh(scene, make_clip("new", colour=(5, 250, 5), count=3), replaces="old")
    assert tuple(render(10)[8, 8][:3]) == (5, 250, 5)
    assert strip.frame_final_duration == 3


def test_the_users_own_material_follows_too(scene, make_clip):
    image = load_sequence(scene, make_clip("old"))
    group = bpy.data.node_groups.new("Mine", "ShaderNodeTree")
    node = group.nodes.new("ShaderNodeTexImage")
    node.image = image
    newer = make_clip("new", count=9, start=4)
    refresh(scene, newer, replaces="old")
    assert node.image_user.frame_duration == 9
    assert node.image_user.frame_start == 4
    assert bpy.path.abspath(node.image.filepath) == str(newer.frames / "000001.png")


def test_changing_the_view_transform_keeps_the_colours(scene, make_clip, render):
    add_plane(scene, make_clip(colour=(200, 160, 140), mattes=True))
    scene.view_settings.view_transform = "AgX"
    match_view(scene)
    assert np.abs(render(10)[8, 2].astype(int) - (200, 160, 140, 255)).max() <= 1


def test_removal_leaves_nothing(scene, make_clip):
    kinds = ("objects", "meshes", "materials", "node_groups", "images")
    add_to_compositor(scene, make_clip("other"))  # gives the scene its compositor tree
    remove("other")
    before = {kind: set(getattr(bpy.data, kind).keys()) for kind in kinds}
    clip = make_clip("gone", mattes=True)
    add_plane(scene, clip)
    add_to_compositor(scene, clip)
    strip = add_strip(scene, clip)
    strips = scene.sequence_editor.strips_all if hasattr(scene.sequence_editor, "strips_all") else None
    assert strip is not None
    uses = uses_of("gone")
    assert (uses.planes, uses.images, uses.compositor_nodes, uses.strips) == (1, 1, 1, 1)
    remove("gone")
    assert {kind: set(getattr(bpy.data, kind).keys()) for kind in kinds} == before
    assert not strips
    assert not uses_of("gone")


def test_uses_are_found_again_in_a_reopened_file(scene, make_clip, tmp_path):
    clip = make_clip()
    add_plane(scene, clip)
    add_strip(scene, clip)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert (uses_of("one").planes, uses_of("one").strips) == (1, 1)
    remove("one")
    assert not uses_of("one")
