import bpy
import numpy as np
import pytest

from magicanimate_blender.results import add_strip, remove, sequencer_note, show_in_sequencers


def test_a_strip_plays_in_its_time(scene, make_clip, render):
    strip = add_strip(scene, make_clip(start=10))
    scene.render.use_sequencer = True
    assert (strip.frame_final_start, strip.frame_final_end) == (10, 16)
    assert [tuple(render(f)[8, 8][:3]) for f in (10, 15)] == [(20, 90, 160), (120, 90, 160)]


def test_another_rate(scene, make_clip, render):
    strip = add_strip(scene, make_clip(fps=12, start=10))
    scene.render.use_sequencer = True
    assert strip.frame_final_duration == 12
    assert [render(f)[8, 8][0] for f in (10, 11, 12, 21)] == [20, 20, 40, 120]


@pytest.mark.parametrize("view", ["Standard", "AgX", "Filmic"])
def test_colours_come_out_as_delivered(scene, make_clip, render, view):
    scene.view_settings.view_transform = view
    add_strip(scene, make_clip(colour=(200, 160, 140)))
    scene.render.use_sequencer = True
    assert np.abs(render(10)[8, 8][:3].astype(int) - (200, 160, 140)).max() <= 1


def test_the_first_free_channel_is_taken(scene, make_clip):
    channels = [add_strip(scene, make_clip(f"from {start}", start=start)).channel for start in (1, 3, 40)]
    assert channels == [1, 2, 1]


# What a render shows


@pytest.fixture
def red_scene(scene):
    """A scene whose renders are red."""
    scene.render.film_transparent = False
    scene.world = bpy.data.worlds.new("World")
    if not scene.world.node_tree:
        scene.world.use_nodes = True
    background = next(n for n in scene.world.node_tree.nodes if n.type == "BACKGROUND")
    background.inputs["Color"].default_value = (1, 0, 0, 1)
    return scene


def strips(scene):
    editor = scene.sequence_editor or scene.sequence_editor_create()
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def add_colour(scene, channel=1, start=1, length=100):
    """A yellow strip of the artist's own."""
    values = {"name": "Mine", "type": "COLOR", "channel": channel, "frame_start": start}
    end = "length" if "length" in strips(scene).bl_rna.functions["new_effect"].parameters else "frame_end"
    strip = strips(scene).new_effect(**values, **{end: length if end == "length" else start + length})
    strip.color = (1, 1, 0)
    return strip


RED, YELLOW = (255, 0, 0), (255, 255, 0)


def test_a_render_of_the_3d_scene_stays_one(red_scene, make_clip, render):
    assert tuple(render(10)[8, 8][:3]) == RED
    add_strip(red_scene, make_clip(start=10))
    assert tuple(render(10)[8, 8][:3]) == RED
    assert "Renders show the 3D scene" in sequencer_note(red_scene).message
    red_scene.render.use_sequencer = True  # as the note says
    assert tuple(render(10)[8, 8][:3]) == (20, 90, 160)
    assert sequencer_note(red_scene) is None


def test_a_render_of_an_edit_stays_one(red_scene, make_clip, render):
    add_colour(red_scene)
    assert tuple(render(30)[8, 8][:3]) == YELLOW
    strip = add_strip(red_scene, make_clip(start=10))
    assert (strip.channel, sequencer_note(red_scene)) == (2, None)
    assert tuple(render(10)[8, 8][:3]) == (20, 90, 160)
    assert tuple(render(30)[8, 8][:3]) == YELLOW


@pytest.mark.parametrize("why", ["muted", "muted channel", "sequencer off"])
def test_strips_that_are_not_rendered_stay_so(red_scene, make_clip, render, why):
    if why.startswith("muted") and bpy.app.version < (4, 3, 0):
        pytest.skip("Blender 4.2 renders muted strips, as black")
    own = add_colour(red_scene)
    own.mute = why == "muted"
    red_scene.sequence_editor.channels[own.channel].mute = why == "muted channel"
    red_scene.render.use_sequencer = why != "sequencer off"
    assert tuple(render(10)[8, 8][:3]) == RED
    add_strip(red_scene, make_clip(start=10))
    assert tuple(render(10)[8, 8][:3]) == RED


def test_with_the_last_strip_the_sequencer_is_as_it_was(red_scene, make_clip, render):
    for name in ("one", "two"):
        add_strip(red_scene, make_clip(name))
    remove("one")
    assert not red_scene.render.use_sequencer
    remove("two")
    assert red_scene.render.use_sequencer
    assert tuple(render(10)[8, 8][:3]) == RED


def test_sequencers_show_the_scene_unless_they_show_another(scene, make_clip):
    first, *rest = bpy.data.workspaces
    if not hasattr(first, "sequencer_scene"):
        pytest.skip("before Blender 5.0 a sequencer shows the window's scene")
    other = bpy.data.scenes.new("Edit")
    for workspace in rest:
        workspace.sequencer_scene = None
    first.sequencer_scene = other
    show_in_sequencers(scene)
    assert first.sequencer_scene == other
    assert all(workspace.sequencer_scene == scene for workspace in rest)
