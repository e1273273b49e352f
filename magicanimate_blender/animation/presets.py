"""Quality presets, as data. What each trades is measured in docs/."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Preset:
    """settings: values for the engine's settings; those that an engine has not are left out by `apply`.

    scale: of the output size.
    """

    id: str
    title: str
    description: str
    settings: Mapping[str, Any]
    scale: float = 1.0

    def apply(self, settings: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
        """`settings` with this preset's values; schema: the engine's `settings_schema`."""
        known = schema.get("properties", {})
        return {**settings, **{name: value for name, value in self.settings.items() if name in known}}

    def size(self, width: int, height: int, multiple: int) -> tuple[int, int]:
        """Output size in pixels for a full size of width x height, in multiples that the weights can do."""

        def scaled(length: int) -> int:
            return max(multiple, round(length * self.scale / multiple) * multiple)

        return scaled(width), scaled(height)


PRESETS = (
    Preset(
        "draft",
        "Draft",
        "To judge motion and framing: few steps",
        MappingProxyType({"steps": 10}),
    ),
    Preset("standard", "Standard", "The published settings", MappingProxyType({"steps": 25})),
    Preset("final", "Final", "More steps for the last look", MappingProxyType({"steps": 50})),
)
