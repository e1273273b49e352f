import dataclasses
import json
from pathlib import Path

import bpy
import pytest

from magicanimate_blender.animation.presets import DRAFT, PRESETS, ROUGH
from magicanimate_blender.scene.errors import SceneError
from magicanimate_blender.ui import engine_settings, flow
from magicanimate_blender.ui.engines import known_engines, output_size, weights_for

ODD_SCHEMA = {
    "$defs": {"Mode": {"enum": ["soft", "very_hard"], "type": "string"}},
    "properties": {
        "mode": {"$ref": "#/$defs/Mode", "default": "soft", "title": "Mode"},
        "share": {"type": "number", "minimum": 0.0, "maximum": 1.0, "default": 0.3},
        "fast": {"type": "boolean", "default": True},
        "note": {"type": "string", "default": "hello"},
        "extra": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}], "default": None},
        "huge": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1, "default": 7},
        "future": {"type": "array", "items": {"type": "integer"}, "default": []},
    },
}


@pytest.fixture
def server_engines():
    """The server's own declarations, where its packages are installed."""
    pytest.importorskip("pydantic")
    from inference_server.engines.registry import ENGINES

    return ENGINES


@pytest.fixture
def odd(scene):
    engine_settings.use_schema(ODD_SCHEMA)
    yield scene
    engine_settings.use_schema(known_engines()[0].settings_schema)


def test_the_shipped_schema_is_the_servers(scene, server_engines):
    (shipped,) = known_engines()
    engine = server_engines[shipped.id]
    assert shipped.settings_schema == json.loads(json.dumps(engine.settings.model_json_schema()))
    assert [(w.id, w.demo, w.size_multiple, w.default_size, w.recommended_settings) for w in shipped.weight_sets] == [
        (w.id, w.demo, w.size_multiple, w.default_size, w.recommended) for w in engine.weight_sets
    ]


def test_untouched_settings_are_the_engines_defaults(scene, server_engines):
    engine = server_engines["magicanimate"]
    assert engine.settings(**engine_settings.values(scene)) == engine.settings()


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.id)
def test_presets_are_valid_settings_and_are_recognised(scene, server_engines, preset):
    flow.use_preset(scene, preset)
    server_engines["magicanimate"].settings(**engine_settings.values(scene))
    assert flow.is_in_use(scene, preset)
    assert [other.id for other in PRESETS if flow.is_in_use(scene, other)] == [preset.id]


def test_every_kind_of_setting_has_its_property_and_value(odd):
    values = engine_settings.values(odd)
    assert values == {"mode": "soft", "share": 0.3, "fast": True, "note": "hello", "extra": None, "huge": 7}
    changed = {"mode": "very_hard", "share": 0.8, "fast": False, "note": "", "extra": 3, "huge": 2**31 - 1}
    engine_settings.assign(odd, changed)
    assert engine_settings.values(odd) == changed


def test_values_outlive_a_change_of_schema(odd):
    engine_settings.assign(odd, {"share": 0.8})
    engine_settings.use_schema({"properties": {"share": ODD_SCHEMA["properties"]["share"]}})
    assert engine_settings.values(odd) == {"share": 0.8}


def test_values_are_saved_with_the_file(scene, tmp_path):
    engine_settings.assign(scene, {"steps": 12, "seed": 99})
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    values = engine_settings.values(bpy.context.scene)
    assert (values["steps"], values["seed"]) == (12, 99)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("share", "0.5", 0.5), ("fast", "False", False), ("mode", "very_hard", "very_hard"), ("extra", "none", None)],
)
def test_settings_are_read_from_text(odd, name, text, value):
    assert engine_settings.parse(name, text) == value


@pytest.mark.parametrize(("name", "text"), [("share", "2"), ("share", "x"), ("fast", "maybe"), ("mode", "loud")])
def test_text_that_is_no_value_is_told(odd, name, text):
    with pytest.raises(SceneError, match=f"{name} can't be"):
        engine_settings.parse(name, text)


def test_sizes_are_multiples_that_the_weights_can_do(scene):
    chosen, weights = scene.magicanimate, known_engines()[0].weight_sets[0]
    assert output_size(chosen, weights) == weights.default_size
    chosen.use_advised_size, chosen.width, chosen.height = False, 500, 90
    assert output_size(chosen, weights) == (512, 64)


def test_a_rough_is_smaller_in_steps_that_the_weights_can_do(scene):
    chosen, engine = scene.magicanimate, known_engines()[0]
    flow.use_preset(scene, ROUGH)
    sizes = {weights.id: output_size(chosen, weights) for weights in engine.weight_sets}
    assert sizes == {"magicanimate": (384, 384), "demo": (64, 64)}
    chosen.use_advised_size, chosen.width, chosen.height = False, 512, 768
    assert output_size(chosen, engine.weight_sets[0]) == (384, 576)
    flow.use_preset(scene, DRAFT)
    assert output_size(chosen, engine.weight_sets[0]) == (512, 768)


def test_presets_of_the_users_own_are_saved_and_set_again(scene):
    engine_settings.assign(scene, {"steps": 17, "solver": "unipc", "seed": 5})
    bpy.ops.magicanimate.add_quality_preset(name="Mine")
    engine_settings.assign(scene, {"steps": 25, "solver": "ddim", "seed": 6})
    (path,) = [file for folder in bpy.utils.preset_paths("magicanimate/quality") for file in Path(folder).glob("*.py")]
    bpy.ops.script.execute_preset(filepath=str(path), menu_idname="MAGICANIMATE_PT_quality_presets")
    values = engine_settings.values(scene)
    assert (values["steps"], values["solver"], values["seed"]) == (17, "unipc", 6)
    bpy.ops.magicanimate.add_quality_preset(name="Mine", remove_name=True)
    assert not path.exists()


def test_without_a_choice_the_best_weights_that_are_there_are_used(scene):
    engine = known_engines()[0]
    assert not weights_for(scene.magicanimate, engine).demo
    sets = tuple(dataclasses.replace(w, state="ready" if w.demo else "missing") for w in engine.weight_sets)
    assert weights_for(scene.magicanimate, dataclasses.replace(engine, weight_sets=sets)).demo
    scene.magicanimate.weights = sets[0].id
    assert weights_for(scene.magicanimate, engine).id == sets[0].id
