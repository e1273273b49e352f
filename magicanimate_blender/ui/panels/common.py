"""What panels share: their place, wrapped text, spoken times."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import blf
import bpy

from ..mends import Mend, mend_of
from ..messages import Message

MARGIN = 86
"""Pixels of a sidebar, at scale 1, that text can't use: tabs, borders, a box, the icon in front."""
ROOMY = 200
"""Pixels for text from which names stand beside their fields; in a narrower sidebar they would be cut off."""


class InSidebar:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "MagicAnimate"


def text_width() -> float:
    """Pixels that a line of text has in the present region, at interface scale 1."""
    region, scale = bpy.context.region, bpy.context.preferences.system.ui_scale
    return (region.width / scale if region else 280) - MARGIN


def wrapped(layout: bpy.types.UILayout, text: str, icon: str = "NONE", width: float | None = None) -> int:
    """A label of as many lines as the text needs, for Blender's own are cut off; how many those are."""
    column = layout.column(align=True)
    column.scale_y = 0.85
    lines = lines_of(text, text_width() if width is None else width)
    for number, line in enumerate(lines):
        column.label(text=line, icon=icon if number == 0 or icon == "NONE" else "BLANK1", translate=False)
    return len(lines)


def reserved(layout: bpy.types.UILayout, texts: Sequence[tuple[str, str]], lines: int) -> None:
    """Texts with their icons, in a place of at least so many lines: as they change, nothing below them moves."""
    column = layout.column(align=True)
    taken = sum(wrapped(column, text, icon) for text, icon in texts)
    blank = column.column(align=True)
    blank.scale_y = 0.85
    for _ in range(lines - taken):
        blank.label(text="")


@functools.lru_cache(maxsize=256)
def lines_of(text: str, width: float) -> tuple[str, ...]:
    """Break a text into lines of at most `width` pixels, at interface scale 1. A longer word is broken, too."""
    blf.size(0, 11)
    lines: list[str] = []
    for word in (part for whole in text.split() for part in _fitting(whole, width)):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and blf.dimensions(0, longer)[0] <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return tuple(lines)


def _fitting(word: str, width: float) -> list[str]:
    """A word, as a path or an address, in parts that fit."""
    parts = [word]
    while len(parts[-1]) > 1 and blf.dimensions(0, parts[-1])[0] > width:
        last = parts.pop()
        end = next((n for n in range(len(last) - 1, 1, -1) if blf.dimensions(0, last[:n])[0] <= width), 1)
        parts += [last[:end], last[end:]]
    return parts


def message_box(layout: bpy.types.UILayout, message: Message, width: float | None = None) -> bpy.types.UILayout:
    """A problem with its way out; the caller may add a button below it."""
    box = layout.box().column()
    wrapped(box, f"{message.text.rstrip('.')}.", "ERROR", width)
    if message.fix:
        wrapped(box, message.fix, "BLANK1", width)
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
