"""How well, how fast, with which weights."""

from __future__ import annotations

import bpy
from bl_ui.utils import PresetPanel

from ...animation import PRESETS
from .. import engine_settings, flow
from ..engines import engine_for, known_engines, weights_for
from .common import ROOMY, InSidebar, text_width, wrapped

PRESET_FOLDER = "magicanimate/quality"
FOUR_PRESETS = 180
"""Pixels for text in which the names of all presets fit beside each other."""


class MAGICANIMATE_PT_quality_presets(PresetPanel, bpy.types.Panel):
    bl_label = "MagicAnimate Presets"
    preset_subdir = PRESET_FOLDER
    preset_operator = "script.execute_preset"
    preset_add_operator = "magicanimate.add_quality_preset"


class MAGICANIMATE_MT_weights(bpy.types.Menu):
    bl_label = "Weights"

    def draw(self, context: bpy.types.Context) -> None:
        engine = engine_for(context.scene.magicanimate, known_engines())
        for weights in engine.weight_sets:
            ready = weights.state == "ready"
            operator = self.layout.operator(
                "magicanimate.use_weights", text=weights.title, icon="CHECKMARK" if ready else "IMPORT", translate=False
            )
            operator.weights = weights.id


class MAGICANIMATE_PT_quality(InSidebar, bpy.types.Panel):
    bl_label = "Quality"

    def draw_header_preset(self, context: bpy.types.Context) -> None:
        MAGICANIMATE_PT_quality_presets.draw_panel_header(self.layout)

    def draw(self, context: bpy.types.Context) -> None:
        column, scene = self.layout.column(), context.scene
        grid = column.grid_flow(
            row_major=True, columns=4 if text_width() >= FOUR_PRESETS else 2, even_columns=True, align=True
        )
        for preset in PRESETS:
            in_use = flow.is_in_use(scene, preset)
            grid.operator("magicanimate.use_preset", text=preset.title, depress=in_use).preset = preset.id
        chosen = engine_settings.group(scene)
        if "seed" in engine_settings.names():
            row = column.row(align=True)
            row.prop(chosen, "seed")
            row.operator("magicanimate.roll_seed", text="", icon="FILE_REFRESH")
        engine = engine_for(scene.magicanimate, known_engines())
        weights = weights_for(scene.magicanimate, engine)
        column.menu("MAGICANIMATE_MT_weights", text=weights.title, icon="FILE_BLEND", translate=False)
        if weights.demo:
            wrapped(column, "Small, for trying out; their results are marked.", "INFO")


class MAGICANIMATE_PT_advanced(InSidebar, bpy.types.Panel):
    bl_label = "Advanced"
    bl_parent_id = "MAGICANIMATE_PT_quality"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, roomy = self.layout, text_width() >= ROOMY
        layout.use_property_split, layout.use_property_decorate = roomy, False
        chosen = engine_settings.group(context.scene)
        for name in engine_settings.names():
            if name == "seed":
                continue
            field = chosen.bl_rna.properties[name]
            if field.type == "ENUM" and not roomy:  # beside the choice its name would be cut off
                column = layout.column(align=True)
                column.label(text=field.name)
                column.prop(chosen, name, text="")
            else:
                layout.prop(chosen, name)


CLASSES = (
    MAGICANIMATE_PT_quality_presets,
    MAGICANIMATE_MT_weights,
    MAGICANIMATE_PT_quality,
    MAGICANIMATE_PT_advanced,
)
