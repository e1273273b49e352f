"""Small things that belong to no subject."""

from __future__ import annotations

import bpy

from ..package import PACKAGE


class MAGICANIMATE_OT_open_preferences(bpy.types.Operator):
    bl_idname = "magicanimate.open_preferences"
    bl_label = "Open the Preferences"
    bl_description = "Show this add-on's preferences: server, weights, folders"
    bl_options = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        bpy.ops.preferences.addon_show(module=PACKAGE)
        return {"FINISHED"}


CLASSES = (MAGICANIMATE_OT_open_preferences,)
