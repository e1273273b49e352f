"""Frames and sizes."""

from __future__ import annotations

import bpy


class MAGICANIMATE_OT_use_scene_range(bpy.types.Operator):
    bl_idname = "magicanimate.use_scene_range"
    bl_label = "Use the Scene's Range"
    bl_description = "Animate the scene's frame range"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = context.scene
        scene.magicanimate.use_scene_range = True
        scene.frame_end = max(scene.frame_end, scene.frame_start)
        return {"FINISHED"}


class MAGICANIMATE_OT_mark_frame(bpy.types.Operator):
    bl_idname = "magicanimate.mark_frame"
    bl_label = "Mark This Frame"
    bl_description = "Add the current frame to the list"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    marks: bpy.props.EnumProperty(items=[("redo", "Redo", ""), ("keep", "Keep", "")])

    def execute(self, context: bpy.types.Context) -> set[str]:
        chosen = context.scene.magicanimate
        marked = [part.strip() for part in getattr(chosen, self.marks).split(",") if part.strip()]
        if str(context.scene.frame_current) not in marked:
            setattr(chosen, self.marks, ", ".join([*marked, str(context.scene.frame_current)]))
        return {"FINISHED"}


CLASSES = (MAGICANIMATE_OT_use_scene_range, MAGICANIMATE_OT_mark_frame)
