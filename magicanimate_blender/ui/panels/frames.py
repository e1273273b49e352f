"""What is animated: frames, size."""

from __future__ import annotations

import bpy

from ..operators.character import video_size
from ..request import frames_of
from .common import ROOMY, InSidebar, text_width


class MAGICANIMATE_PT_frames(InSidebar, bpy.types.Panel):
    bl_label = "Frames"
    bl_options = {"DEFAULT_CLOSED"}

    def draw_header_preset(self, context: bpy.types.Context) -> None:
        width, height = video_size(context.scene)
        self.layout.label(text=f"{len(frames_of(context.scene))} · {width} × {height}", translate=False)

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = self.layout, context.scene
        chosen = scene.magicanimate
        layout.use_property_split, layout.use_property_decorate = text_width() >= ROOMY, False
        layout.prop(chosen, "use_scene_range")
        if not chosen.use_scene_range:
            column = layout.column(align=True)
            column.prop(chosen, "frame_start")
            column.prop(chosen, "frame_end")
        layout.prop(chosen, "frame_step")
        layout.prop(chosen, "use_advised_size")
        if not chosen.use_advised_size:
            column = layout.column(align=True)
            column.prop(chosen, "width")
            column.prop(chosen, "height")
        layout.prop(chosen, "size_share")
        layout.operator("magicanimate.export_maps", icon="EXPORT")


CLASSES = (MAGICANIMATE_PT_frames,)
