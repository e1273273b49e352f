"""What panels share: their place, wrapped text, spoken times."""

from __future__ import annotations

import functools

import blf
import bpy

from ..mends import Mend, mend_of
from ..messages import Message

MARGIN = 86
"""Pixels of a sidebar, at scale 1, that text can't use: tabs, borders, a box, the icon in front."""


class InSidebar:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "MagicAnimate"


def wrapped(layout: bpy.types.UILayout, text: str, icon: str = "NONE") -> None:
    """A label of as many lines as the text needs: Blender's own are cut off."""
    column = layout.column(align=True)
    column.scale_y = 0.85
    scale = bpy.context.preferences.system.ui_scale
    width = bpy.context.region.width / scale if bpy.context.region else 280
    for number, line in enumerate(lines_of(text, width - MARGIN)):
        column.label(text=line, icon=icon if number == 0 or icon == "NONE" else "BLANK1", translate=False)


@functools.lru_cache(maxsize=256)
def lines_of(text: str, width: float) -> tuple[str, ...]:
    """Break a text into lines of at most `width` pixels, at interface scale 1."""
    blf.size(0, 11)
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and blf.dimensions(0, longer)[0] <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return tuple(lines)


def message_box(layout: bpy.types.UILayout, message: Message) -> bpy.types.UILayout:
    """A problem with its way out; the caller may add a button below it."""
    box = layout.box().column()
    wrapped(box, f"{message.text.rstrip('.')}.", "ERROR")
    if message.fix:
        wrapped(box, message.fix, "BLANK1")
    return box


def draw_mendable(layout: bpy.types.UILayout, message: Message) -> bpy.types.UILayout:
    """A problem with its way out, and the button that goes it."""
    box = message_box(layout, message)
    if (mend := mend_of(message.code)) is not None:
        draw_mend(box, mend)
    return box


def draw_mend(layout: bpy.types.UILayout, mend: Mend) -> None:
    button = layout.operator(mend.operator, text=mend.label)
    for name, value in mend.options.items():
        setattr(button, name, value)


def spoken(seconds: float) -> str:
    """12 s, 3 min, 1 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size_text(size: int) -> str:
    """Bytes -> 1.3 GB, 20 MB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
