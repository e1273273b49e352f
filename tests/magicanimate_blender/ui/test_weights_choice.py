"""Settings follow the weights: the demo weights want less guidance than the published ones."""

import bpy

from magicanimate_blender.ui import engine_settings


def test_settings_that_suit_the_weights_come_and_go_with_them(scene):
    bpy.ops.magicanimate.use_weights(weights="demo")
    assert scene.magicanimate.weights == "demo"
    assert engine_settings.values(scene)["guidance_scale"] == 3.0
    engine_settings.assign(scene, {"steps": 7})
    bpy.ops.magicanimate.use_weights(weights="magicanimate")
    assert engine_settings.values(scene)["guidance_scale"] == 7.5
    assert engine_settings.values(scene)["steps"] == 7
