"""Progress and Cancel in Blender's status bar, which is in view whatever the sidebar shows."""

from __future__ import annotations

import bpy

from ..runtime import active
from .animate import progress_text
from .common import spoken

WIDTH = 16
"""Of the progress bar, in units of a button's height."""


def draw(self: bpy.types.Header, context: bpy.types.Context) -> None:
    current = active()
    jobs = [] if current is None else [each for each in current.animations.poll() if not each[1].state.ended]
    if not jobs:
        return
    animation, now = jobs[0]
    left = "" if now.eta_s is None else f", {spoken(now.eta_s)}"
    row = self.layout.row(align=True)
    bar = row.row(align=True)
    bar.ui_units_x = WIDTH
    bar.progress(factor=now.fraction, text=f"{progress_text(now)}{left}")
    row.operator("magicanimate.cancel", text="", icon="X").job = animation.id
    if len(jobs) > 1:
        row.label(text=f"{len(jobs) - 1} more")


def register() -> None:
    bpy.types.STATUSBAR_HT_header.append(draw)


def unregister() -> None:
    bpy.types.STATUSBAR_HT_header.remove(draw)
