"""Quality presets of the user's own, by Blender's preset system: files that Blender lists, saves and removes."""

from __future__ import annotations

import bpy
from bl_operators.presets import AddPresetBase

from . import engine_settings
from .panels.quality import PRESET_FOLDER


class MAGICANIMATE_OT_add_quality_preset(AddPresetBase, bpy.types.Operator):
    bl_idname = "magicanimate.add_quality_preset"
    bl_label = "Add Quality Preset"
    bl_description = "Keep the present settings under a name, or delete a preset"
    preset_menu = "MAGICANIMATE_PT_quality_presets"
    preset_subdir = PRESET_FOLDER
    preset_defines = [f"settings = bpy.context.scene.{engine_settings.PROPERTY}"]

    @property
    def preset_values(self) -> list[str]:
        return [f"settings.{name}" for name in engine_settings.names() if name != "seed"]


register, unregister = bpy.utils.register_classes_factory((MAGICANIMATE_OT_add_quality_preset,))
