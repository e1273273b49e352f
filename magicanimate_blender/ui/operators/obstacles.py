"""The buttons beside what keeps part maps from being drawn."""

from __future__ import annotations

import bpy

from ...scene.characters import get_object
from .. import scene_facts
from ..request import characters_of
from .common import tells_errors


class MAGICANIMATE_OT_leave_edit_mode(bpy.types.Operator):
    bl_idname = "magicanimate.leave_edit_mode"
    bl_label = "Leave Edit Mode"
    bl_description = "Switch to Object Mode; edits are kept"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bpy.ops.object.mode_set.poll()

    def execute(self, context: bpy.types.Context) -> set[str]:
        bpy.ops.object.mode_set(mode="OBJECT")
        scene_facts.look_again(context.scene)
        return {"FINISHED"}


class MAGICANIMATE_OT_use_pose_position(bpy.types.Operator):
    bl_idname = "magicanimate.use_pose_position"
    bl_label = "Use Pose Position"
    bl_description = "Switch the character's armature from Rest Position to Pose Position"
    bl_options = {"REGISTER", "UNDO"}

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        for character in characters_of(context.scene):
            get_object(character.armature).data.pose_position = "POSE"
        scene_facts.look_again(context.scene)
        return {"FINISHED"}


CLASSES = (MAGICANIMATE_OT_leave_edit_mode, MAGICANIMATE_OT_use_pose_position)
