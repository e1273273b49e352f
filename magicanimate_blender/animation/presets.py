"""Quality presets, as data. What each trades is measured in docs/."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Preset:
    """settings: values for an engine's settings; all presets name the same ones, so that one undoes another.

    size: part of the chosen width and height. None changes the seed: at the same size a draft starts from the same
    noise as its final, and so predicts it; at another size there is no such noise.
    """

    id: str
    title: str
    description: str
    settings: Mapping[str, Any]
    size: float = 1.0

    def apply(self, settings: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
        """`settings` with this preset's values, less those the engine's `settings_schema` does not have."""
        known = schema.get("properties", {})
        return {**settings, **{name: value for name, value in self.settings.items() if name in known}}


def _settings(steps: int, solver: str, guided_share: float, decoder: str) -> Mapping[str, Any]:
    return MappingProxyType({"steps": steps, "solver": solver, "guided_share": guided_share, "decoder": decoder})


_QUICK = _settings(10, "dpmpp_2m", 0.6, "small")
ROUGH = Preset(
    "rough",
    "Rough",
    "To judge motion alone: a draft at three quarters of the size. It shows another take than a draft or final does",
    _QUICK,
    size=0.75,
)
DRAFT = Preset(
    "draft",
    "Draft",
    "To judge motion and framing: few steps by a better solver, guided by the reference in the first of them only",
    _QUICK,
)
STANDARD = Preset("standard", "Standard", "The published settings: 25 DDIM steps", _settings(25, "ddim", 1.0, "full"))
FINAL = Preset("final", "Final", "The published settings with twice the steps", _settings(50, "ddim", 1.0, "full"))
PRESETS = (ROUGH, DRAFT, STANDARD, FINAL)
