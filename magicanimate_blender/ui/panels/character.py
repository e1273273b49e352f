"""Who is animated."""

from __future__ import annotations

import bpy

from ...scene.roles import get_role
from ..request import chosen_character
from ..scene_facts import facts
from .common import InSidebar, message_box, wrapped


class MAGICANIMATE_PT_character(InSidebar, bpy.types.Panel):
    bl_label = "Character"

    def draw(self, context: bpy.types.Context) -> None:
        scene, column = context.scene, self.layout.column()
        chosen, found = scene.magicanimate, facts(scene)
        column.prop(chosen, "character", text="", icon="ARMATURE_DATA", placeholder="Every character")
        if chosen.character is not None and chosen_character(scene) is None:
            name = chosen.character.name
            wrapped(column, f"“{name}” is not in this scene: every character is animated instead", "INFO")
        if found.problem is not None:
            message_box(column, found.problem)
            column.operator_menu_enum("magicanimate.add_sample_character", "kind", text="Add Sample Character")
            return
        names = ", ".join(character.armature for character in found.characters)
        if found.labelled:
            wrapped(column, f"{names}: ready", "CHECKMARK")
        else:
            wrapped(column, f"{names}: body parts are labelled when you animate", "INFO")
        row = column.row(align=True)
        row.prop(chosen, "show_overlay", toggle=True, icon="OVERLAY")
        if chosen.show_overlay:
            row.prop(chosen, "overlay_opacity", text="", slider=True)
        row = column.row(align=True)
        row.operator("magicanimate.frame_camera", icon="CAMERA_DATA")
        if found.warnings:  # a sign here, the sentences on a click: while somebody poses, nothing below moves
            row.popover("MAGICANIMATE_PT_framing", text="", icon="ERROR")


class MAGICANIMATE_PT_framing(bpy.types.Panel):
    bl_label = "Framing"
    bl_space_type = "VIEW_3D"
    bl_region_type = "HEADER"
    bl_options = {"INSTANCED"}
    bl_ui_units_x = 15

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column()
        for warning in facts(context.scene).warnings:
            message_box(column, warning, width=POPOVER_WIDTH)
        column.operator("magicanimate.frame_camera", icon="CAMERA_DATA")


class MAGICANIMATE_PT_labels(InSidebar, bpy.types.Panel):
    bl_label = "Body Parts"
    bl_parent_id = "MAGICANIMATE_PT_character"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column()
        column.prop(context.scene.magicanimate, "mitten")
        column.operator("magicanimate.label", icon="MOD_VERTEX_WEIGHT").relabel = True
        active = context.object
        if active is not None and active.type != "ARMATURE":
            role = get_role(active)
            wrapped(column, active.name, "OBJECT_DATA")
            column.operator_menu_enum("magicanimate.set_role", "role", text=ROLE_TITLES[role])
        if context.mode == "EDIT_MESH":
            column.operator_menu_enum("magicanimate.paint_label", "label", text="Label Selected Faces")


POPOVER_WIDTH = 230
"""Pixels for text in a popover of 15 units, beside its borders and the icon."""
ROLE_TITLES = {"body": "Body", "occlude": "Hide What Is Behind", "ignore": "Ignore"}

CLASSES = (MAGICANIMATE_PT_character, MAGICANIMATE_PT_framing, MAGICANIMATE_PT_labels)
