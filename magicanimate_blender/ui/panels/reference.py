"""Whose picture is animated."""

from __future__ import annotations

import bpy

from .common import InSidebar


class MAGICANIMATE_PT_reference(InSidebar, bpy.types.Panel):
    bl_label = "Reference"

    def draw(self, context: bpy.types.Context) -> None:
        column, chosen = self.layout.column(), context.scene.magicanimate
        if chosen.reference is None:
            row = column.row()
            row.scale_y = 1.2
            row.operator("magicanimate.open_reference", text="Choose a Picture…", icon="FILE_IMAGE")
            column.prop(chosen, "reference", text="", placeholder="or one that is loaded")
            return
        preview = chosen.reference.preview_ensure()
        if preview is not None and preview.icon_id:
            column.template_icon(preview.icon_id, scale=5.0)
        row = column.row(align=True)
        row.prop(chosen, "reference", text="")
        row.operator("magicanimate.open_reference", text="", icon="FILEBROWSER")
        column.row().prop(chosen, "fit", expand=True)
        column.prop(chosen, "consent")
        column.prop(chosen, "show_reference")


CLASSES = (MAGICANIMATE_PT_reference,)
