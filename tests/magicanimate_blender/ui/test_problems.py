"""Animate is disabled with one sentence and the button that mends it, until all is well."""

import bpy
import numpy as np
import pytest

from magicanimate_blender.ui import runtime, scene_facts, settings
from magicanimate_blender.ui.panels.character import MAGICANIMATE_PT_character
from magicanimate_blender.ui.problems import first_problem
from magicanimate_blender.ui.request import characters_of
from tests.magicanimate_blender.ui.panel_reader import read_panel


def problem(scene):
    scene_facts.forget_all()
    return first_problem(runtime.runtime(), scene)


def mend(found, **options):
    kind, _, name = found.mend.operator.partition(".")
    getattr(getattr(bpy.ops, kind), name)(**found.mend.options, **options)


def test_each_button_takes_its_problem_away(scene, preferences):
    said = []
    picture = bpy.data.images.new("Person", 64, 64)
    while (found := problem(scene)) is not None and "installed" not in found.sentence:
        said.append(found.sentence)
        if found.mend.operator == "magicanimate.open_reference":
            scene.magicanimate.reference = picture  # what the file browser would do
        else:
            mend(found)
        assert len(said) < 10
    assert [sentence.split(".")[0] for sentence in said] == [
        "There is no rigged character in the scene",
        "The scene has no camera",
        "No reference picture is chosen",
        "Please confirm your right to the picture",
    ]


def test_another_picture_needs_consent_again(stage, preferences):
    stage.magicanimate.reference = bpy.data.images.new("Somebody else", 64, 64)
    assert problem(stage).mend.operator == "magicanimate.give_consent"


def test_a_video_is_refused_as_reference_when_it_is_chosen(stage, preferences, tmp_path):
    av = pytest.importorskip("av", reason="what writes the video")
    path = tmp_path / "walk.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    before = stage.magicanimate.reference
    with pytest.raises(RuntimeError, match=r"walk\.mp4 is no still picture\. Choose a PNG or JPEG"):
        bpy.ops.magicanimate.open_reference(filepath=str(path))
    assert stage.magicanimate.reference == before
    assert "walk.mp4" not in bpy.data.images
    assert stage.magicanimate.consent
    # Given by a script or an older file: said before anything is drawn.
    stage.magicanimate.reference = bpy.data.images.load(str(path))
    assert problem(stage).sentence == "“walk.mp4” is no still picture."
    assert problem(stage).mend.operator == "magicanimate.open_reference"


def test_the_field_offers_still_pictures_alone(stage):
    sequence = bpy.data.images.new("Sequence", 8, 8)
    sequence.source = "SEQUENCE"
    assert [settings._is_still(stage.magicanimate, each) for each in (sequence, stage.magicanimate.reference)] == [
        False,
        True,
    ]


def test_a_range_without_frames(stage, preferences):
    stage.magicanimate.use_scene_range = False
    stage.magicanimate.frame_start, stage.magicanimate.frame_end = 10, 5
    mend(problem(stage))
    assert "installed" in problem(stage).sentence


def test_the_server_is_to_be_installed(stage, preferences):
    found = problem(stage)
    assert found.sentence.startswith("The server is not installed")
    expected = "magicanimate.install_server" if bpy.app.online_access else "screen.userpref_show"
    assert found.mend.operator == expected
    assert not bpy.ops.magicanimate.animate.poll()


def test_a_server_elsewhere_needs_an_address_and_online_access(stage, preferences):
    preferences.server = "REMOTE"
    assert problem(stage).sentence == "No address of a server is given."
    preferences.url = "http://192.0.2.1:8790"
    assert "not allowed to go online" in problem(stage).sentence or bpy.app.online_access


def test_all_is_well(stage, current):
    assert problem(stage) is None
    assert bpy.ops.magicanimate.animate.poll()


def test_half_a_rig_is_named(scene, preferences):
    armature = bpy.data.objects.new("Door", bpy.data.armatures.new("Door"))
    scene.collection.objects.link(armature)
    assert "Door" in problem(scene).sentence


def test_a_deleted_character_is_no_longer_chosen(stage, current):
    """The field keeps it alive; with another character in the scene, Animate goes on with that one."""
    first = stage.magicanimate.character = stage.objects["Sample Female"]
    for each in (first, *first.children):
        stage.collection.objects.unlink(each)  # what Delete does in the window
    assert "no rigged character" in problem(stage).sentence
    assert problem(stage).mend.operator == "magicanimate.add_sample_character"
    mend(problem(stage))
    assert problem(stage) is None
    assert bpy.ops.magicanimate.animate.poll()
    assert stage.magicanimate.character == first
    (character,) = characters_of(stage)
    assert character.armature == "Sample Male"
    assert "“Sample Female” is not in this scene" in read_panel(MAGICANIMATE_PT_character).text
    bpy.ops.magicanimate.animate()
    assert current.drawings[0]._characters[0].armature == "Sample Male"


def test_a_character_of_another_scene_is_not_chosen_here(stage, preferences):
    other = bpy.data.scenes.new("Other")
    other.magicanimate.character = stage.objects["Sample Female"]
    assert "no rigged character" in problem(other).sentence


@pytest.mark.parametrize("name", ["animate", "vary", "preview_frame"])
def test_operators_say_why_they_are_disabled(scene, preferences, name):
    with pytest.raises(RuntimeError, match="no rigged character"):
        getattr(bpy.ops.magicanimate, name)()
