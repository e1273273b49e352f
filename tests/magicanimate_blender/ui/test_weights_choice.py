"""Settings follow the weights: the demo weights want less guidance than the published ones."""

from dataclasses import replace

import bpy

from magicanimate_blender.ui import engine_settings, engines, flow
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


def only_ready(ready: str) -> None:
    """As the server tells: of all weights only these are there."""
    (engine,) = known_engines()
    sets = tuple(replace(each, state="ready" if each.id == ready else "missing") for each in engine.weight_sets)
    engines._known[:] = [replace(engine, weight_sets=sets)]


def test_weights_that_stand_in_bring_their_settings(stage, server, current, finish):
    """Nobody chose the demo weights, but no others are there: their settings are sent, and the panel shows them."""
    only_ready("demo")
    assert stage.magicanimate.weights == ""
    wanted = {"guidance_scale": 2.0, "shared_noise": 0.9}
    assert wanted.items() <= engine_settings.values(stage).items()
    animation = flow.animate(current, stage)
    finish(animation)
    body = server.jobs[animation.id]["body"]
    assert body["weights"] == "demo"
    assert wanted.items() <= body["settings"].items()
    engine_settings.follow_weights(stage)  # as the next beat does
    shown = engine_settings.group(stage)
    assert (round(shown.guidance_scale, 3), round(shown.shared_noise, 3)) == (2.0, 0.9)
    only_ready("magicanimate")  # downloaded meanwhile
    assert (engine_settings.values(stage)["guidance_scale"], engine_settings.values(stage)["shared_noise"]) == (7.5, 0)


def test_what_an_artist_sets_stays_while_the_weights_stay(scene):
    only_ready("demo")
    engine_settings.follow_weights(scene)
    engine_settings.group(scene).guidance_scale = 3.0
    engine_settings.follow_weights(scene)
    assert engine_settings.values(scene)["guidance_scale"] == 3.0


def test_what_was_set_before_any_weights_were_followed_stays(scene):
    """A file of an earlier version, or a script."""
    engine_settings.group(scene).guidance_scale = 3.0
    only_ready("demo")
    engine_settings.follow_weights(scene)
    values = engine_settings.values(scene)
    assert (values["guidance_scale"], values["shared_noise"]) == (3.0, 0.9)


def test_a_setting_given_with_other_weights_is_kept(scene):
    """As on the command line: --weights demo --set guidance_scale=5."""
    only_ready("magicanimate")
    engine_settings.follow_weights(scene)
    scene.magicanimate.weights = "demo"
    engine_settings.assign(scene, {"guidance_scale": 5.0})
    values = engine_settings.values(scene)
    assert (values["guidance_scale"], values["shared_noise"]) == (5.0, 0.9)
