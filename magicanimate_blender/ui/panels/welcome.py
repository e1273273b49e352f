"""Shown until something was animated: one click to see what this is."""

from __future__ import annotations

import bpy

from ..runtime import runtime
from .common import InSidebar, wrapped


class MAGICANIMATE_PT_welcome(InSidebar, bpy.types.Panel):
    bl_label = "Welcome"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        chosen = context.scene.magicanimate
        return not runtime().records() and chosen.reference is None and not chosen.jobs

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column()
        wrapped(column, "Pose a character, choose a picture of a person, click Animate.")
        row = column.row()
        row.scale_y = 1.4
        row.operator("magicanimate.try_demo", icon="PLAY")


CLASSES = (MAGICANIMATE_PT_welcome,)
