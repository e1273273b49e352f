"""Settings follow the weights: the demo weights want less guidance than the published ones."""

import bpy

from magicanimate_blender.ui import engine_settings
from magicanimate_blender.ui.engines import known_engines


def test_settings_that_suit_the_weights_come_and_go_with_them(scene):
    bpy.ops.magicanimate.use_weights(weights="demo")
    assert scene.magicanimate.weights == "demo"
    suited = {weights.id: weights.recommended_settings for weights in known_engines()[0].weight_sets}["demo"]
    assert suited["guidance_scale"] < 7.5
    assert suited.items() <= engine_settings.values(scene).items()
    engine_settings.assign(scene, {"steps": 7})
    bpy.ops.magicanimate.use_weights(weights="magicanimate")
    assert engine_settings.values(scene)["guidance_scale"] == 7.5
    assert engine_settings.values(scene)["shared_noise"] == 0.0
    assert engine_settings.values(scene)["steps"] == 7
