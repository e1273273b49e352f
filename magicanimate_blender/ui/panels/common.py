"""What panels share: their place, wrapped text, spoken times."""

from __future__ import annotations

import textwrap

import blf
import bpy

from ..messages import Message

MARGIN = 56
"""Pixels of a panel, at scale 1, that text can't use: borders, the icon in front."""


class InSidebar:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "MagicAnimate"


def wrapped(layout: bpy.types.UILayout, text: str, icon: str = "NONE") -> None:
    """A label of as many lines as the text needs: Blender's own are cut off."""
    column = layout.column(align=True)
    column.scale_y = 0.85
    for number, line in enumerate(textwrap.wrap(text, _letters(text)) or [""]):
        first = number == 0
        column.label(text=line, icon=icon if first else ("BLANK1" if icon != "NONE" else "NONE"), translate=False)


def _letters(text: str) -> int:
    """How many letters of this text fit into one line of the region that is being drawn."""
    context = bpy.context
    scale = context.preferences.system.ui_scale
    blf.size(0, 11 * scale)
    letter = blf.dimensions(0, text)[0] / max(len(text), 1)
    width = context.region.width if context.region else 280
    return max(16, int((width - MARGIN * scale) / max(letter, 1.0)))


def message_box(layout: bpy.types.UILayout, message: Message) -> bpy.types.UILayout:
    """A problem with its way out; the caller may add a button below it."""
    box = layout.box().column()
    wrapped(box, f"{message.text.rstrip('.')}.", "ERROR")
    if message.fix:
        wrapped(box, message.fix, "BLANK1")
    return box


def spoken(seconds: float) -> str:
    """12 s, 3 min, 1 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size_text(size: int) -> str:
    """Bytes -> 1.3 GB, 20 MB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
