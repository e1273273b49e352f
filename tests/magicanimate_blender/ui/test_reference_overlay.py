"""The reference in the camera's view, beside whatever background images the user has there."""

import bpy
import pytest

from magicanimate_blender.ui import messages


@pytest.fixture
def camera(stage):
    stage.camera.data.background_images.new().image = bpy.data.images.new("Mine", 8, 8)
    return stage.camera.data


def shown(camera):
    return [each.image.name for each in camera.background_images]


def test_it_comes_and_goes(stage, camera):
    stage.magicanimate.show_reference = True
    assert shown(camera) == ["Mine", "sample_reference.png"]
    assert camera.show_background_images
    stage.magicanimate.show_reference = False
    assert shown(camera) == ["Mine"]


def test_it_follows_the_picture_and_the_fit(stage, camera):
    stage.magicanimate.show_reference = True
    stage.magicanimate.fit = "PAD"
    stage.magicanimate.reference = bpy.data.images.new("Other", 8, 8)
    assert shown(camera) == ["Mine", "Other"]
    assert camera.background_images[1].frame_method == "FIT"
    stage.magicanimate.reference = None
    assert shown(camera) == ["Mine"]


def test_without_a_camera_nothing_happens(stage, camera):
    stage.camera = None
    stage.magicanimate.show_reference = True
    assert shown(camera) == ["Mine"]


def test_what_the_user_has_there_stays(stage, camera):
    """A movie clip, the very reference, and an entry whose picture was deleted: none is ours."""
    reference = stage.magicanimate.reference
    clip = camera.background_images.new()
    clip.source = "MOVIE_CLIP"
    own = camera.background_images.new()
    own.image, own.alpha, own.display_depth = reference, 0.5, "FRONT"
    stage.magicanimate.show_reference = True
    assert len(camera.background_images) == 4
    bpy.data.images.remove(bpy.data.images["Mine"])
    stage.magicanimate.show_reference = False
    assert [(each.source, each.image) for each in camera.background_images] == [
        ("IMAGE", None),
        ("MOVIE_CLIP", None),
        ("IMAGE", reference),
    ]
    assert "magicanimate" not in str(list(camera.keys()))


def test_ours_is_found_by_its_mark_whatever_else_changes(stage, camera, tmp_path):
    stage.magicanimate.show_reference = True
    stage.magicanimate.reference.name = "Renamed"
    camera.background_images.remove(camera.background_images[0])
    name = camera.name
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shown.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shown.blend"))
    scene, camera = bpy.context.scene, bpy.data.cameras[name]
    assert shown(camera) == ["Renamed"]
    scene.magicanimate.show_reference = False
    assert len(camera.background_images) == 0


def test_an_entry_that_the_user_gave_another_picture_is_theirs(stage, camera):
    stage.magicanimate.show_reference = True
    camera.background_images[1].image = bpy.data.images["Mine"]
    stage.magicanimate.show_reference = False
    assert shown(camera) == ["Mine", "Mine"]


def test_background_images_are_off_again_as_they_were(stage, camera):
    camera.show_background_images = False
    stage.magicanimate.show_reference = True
    assert camera.show_background_images
    stage.magicanimate.show_reference = False
    assert not camera.show_background_images


def test_what_was_set_on_our_entry_survives_another_picture(stage, camera):
    stage.magicanimate.show_reference = True
    camera.background_images[1].alpha = 0.25
    stage.magicanimate.fit = "PAD"
    assert (camera.background_images[1].alpha, camera.background_images[1].frame_method) == (0.25, "FIT")


def test_another_scene_keeps_its_own(stage, camera):
    other = bpy.data.scenes.new("Other")
    other.camera = bpy.data.objects.new("Second", bpy.data.cameras.new("Second"))
    other.magicanimate.reference = stage.magicanimate.reference
    other.magicanimate.show_reference = True
    stage.magicanimate.show_reference = True
    stage.magicanimate.show_reference = False
    assert shown(other.camera.data) == ["sample_reference.png"]


def test_a_linked_camera_is_left_alone_and_that_is_told(stage, tmp_path):
    bpy.data.libraries.write(str(tmp_path / "rig.blend"), {bpy.data.objects.new("Far", bpy.data.cameras.new("Far"))})
    with bpy.data.libraries.load(str(tmp_path / "rig.blend"), link=True) as (_, target):
        target.objects = ["Far"]
    stage.camera = target.objects[0]
    stage.magicanimate.show_reference = True
    assert shown(stage.camera.data) == []
    assert "“Far” is linked" in messages.current().text


def test_views_hear_of_it_at_once(stage, camera):
    """What a view draws is the evaluated camera."""

    def seen():
        bpy.context.view_layer.update()
        evaluated = stage.camera.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
        return [each.image.name for each in evaluated.background_images]

    assert seen() == ["Mine"]
    stage.magicanimate.show_reference = True
    assert seen() == ["Mine", "sample_reference.png"]
    stage.magicanimate.show_reference = False
    assert seen() == ["Mine"]
