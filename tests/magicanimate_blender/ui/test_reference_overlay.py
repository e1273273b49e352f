"""The reference in the camera's view, beside whatever background images the user has there."""

import bpy
import pytest


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
