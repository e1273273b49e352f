"""What a panel shows, read without a window: its texts, and its buttons as a person would find them."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import bpy


@dataclass
class Shown:
    """text: every sentence, in order. buttons: label -> operator. options: label -> what the operator is told."""

    text: str = ""
    buttons: dict[str, str] = field(default_factory=dict)
    options: dict[str, SimpleNamespace] = field(default_factory=dict)

    def can_press(self, label: str) -> bool:
        """Whether the button is there and not greyed out."""
        operator = self.buttons.get(label, "")
        return bool(operator) and operator_of(operator).poll()


def operator_of(name: str) -> Any:
    kind, _, rest = name.partition(".")
    return getattr(getattr(bpy.ops, kind), rest)


class Layout:
    """Stands for a UILayout. All its parts write into one `Shown`."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown

    def row(self, **_: Any) -> Layout:
        return Layout(self._shown)

    column = box = split = grid_flow = row

    def label(self, text: str = "", **_: Any) -> None:
        self._shown.text += f"{text} "

    def progress(self, factor: float, text: str = "") -> None:
        self.label(text)

    def operator(self, name: str, text: str | None = None, **_: Any) -> SimpleNamespace:
        label = operator_of(name).get_rna_type().name if text is None else text
        self._shown.buttons[label] = name
        self._shown.options[label] = SimpleNamespace()
        return self._shown.options[label]

    def operator_menu_enum(self, name: str, _: str, text: str = "", **options: Any) -> SimpleNamespace:
        return self.operator(name, text, **options)

    def __getattr__(self, name: str) -> Any:
        """Everything else that panels draw: properties, menus, pictures, lists."""
        if name.startswith(("prop", "popover", "menu", "template_")):
            return lambda *_, **__: None
        raise AttributeError(name)


def read_panel(panel: type[bpy.types.Panel]) -> Shown:
    shown = Shown()
    panel.draw(SimpleNamespace(layout=Layout(shown)), bpy.context)
    return shown


def read_preferences() -> Shown:
    shown = Shown()
    chosen = bpy.context.preferences.addons["magicanimate_blender"].preferences
    from magicanimate_blender.ui.panels import preferences

    preferences.draw(Layout(shown), chosen)
    return shown
