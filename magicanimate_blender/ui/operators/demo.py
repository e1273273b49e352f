"""The first run: everything that is needed, with one click."""

from __future__ import annotations

import bpy

from ...scene.sample_character import add_sample_scene
from .. import flow, scene_facts
from ..engines import engine_for, known_engines
from ..package import package_folder
from ..problems import first_problem
from ..runtime import runtime
from .common import tells_errors
from .reference import load_picture


class MAGICANIMATE_OT_try_demo(bpy.types.Operator):
    bl_idname = "magicanimate.try_demo"
    bl_label = "Try the Demo"
    bl_description = (
        "Add a sample character, a camera and a sample picture, and animate them with the small demo weights. "
        "They show how it works; what they make is far from what the real weights make"
    )
    bl_options = {"REGISTER", "UNDO"}

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = context.scene
        if any(each.type == "MESH" for each in scene.objects):  # the startup file's cube would stand in the way
            scene = context.window.scene = bpy.data.scenes.new("MagicAnimate Demo")
        set_up(scene)
        current = runtime()
        problem = first_problem(current, scene)
        if problem is None:
            flow.animate(current, scene)
        else:  # the panel now shows the button that mends it
            self.report({"INFO"}, problem.sentence)
        return {"FINISHED"}


def set_up(scene: bpy.types.Scene) -> None:
    """Sample character, camera, sample picture, demo weights."""
    chosen = scene.magicanimate
    chosen.character = add_sample_scene(scene)
    chosen.reference = load_picture(package_folder() / "assets" / "sample_reference.png")
    chosen.consent = True  # it shows nobody
    engine = engine_for(chosen, known_engines())
    flow.choose_weights(scene, next((weights.id for weights in engine.weight_sets if weights.demo), ""))
    chosen.use_advised_size = chosen.use_scene_range = True
    scene_facts.look_again(scene)


CLASSES = (MAGICANIMATE_OT_try_demo,)
