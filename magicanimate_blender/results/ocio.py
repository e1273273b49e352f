"""What an OpenColorIO configuration says of names: roles, aliases, and which colour space a view shows. No bpy here.

Blender tells the colour spaces' names alone, and has no Python module of OpenColorIO everywhere. The file is YAML with
tags; only what is needed is read, line by line: https://opencolorio.readthedocs.io/en/latest/guides/authoring/overview.html
"""

import os
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

_FIELD = re.compile(r"""^(\s*)(?:- )?([\w.-]+|"[^"]*"|[^:#\-\s][^:#]*?)\s*:\s*(.*?)\s*$""")
_LISTED = re.compile(r"""\s*("[^"]*"|[^\s,\[\]][^,\[\]]*)""")
_PAIR = re.compile(r"""([\w ]+):\s*("[^"]*"|[^,{}\[\]]*)""")


@dataclass(frozen=True)
class Config:
    """roles: colour space of each role. aliases: colour space of each alias.

    views: per display, the colour space of each view; those that are a view transform to a display have none.
    """

    roles: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    views: dict[str, dict[str, str]] = field(default_factory=dict)


def custom_config() -> Config:
    """The configuration that replaces Blender's own; an empty one if none does or it is no readable file."""
    path = os.environ.get("OCIO", "")
    return read_config(Path(path)) if path and Path(path).is_file() else Config()


@cache
def read_config(path: Path) -> Config:
    try:
        return parse(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return Config()


def parse(text: str) -> Config:
    """Read the text of a config.ocio file."""
    config, section, display, space, view = Config(), "", "", "", ""
    for line in text.splitlines():
        if re.match(r"[\w]+\s*:", line):
            section = line.split(":")[0].strip()
        if section == "displays" and "!<View>" in line:
            pairs = {key.strip(): _unquoted(value) for key, value in _PAIR.findall(line.partition("!<View>")[2])}
            view = pairs.get("name", "")
            if display and view and "colorspace" in pairs:
                config.views[display][view] = pairs["colorspace"]
            continue
        if "!<ColorSpace>" in line:
            space = ""
            continue
        found = _FIELD.match(line)
        if found is None or not found[1]:
            continue
        key, value = _unquoted(found[2]), found[3]
        if section == "roles":
            config.roles[key] = _unquoted(value)
        elif section == "displays":
            if not value:
                display = key
                config.views.setdefault(display, {})
            elif key == "name":
                view = _unquoted(value)
            elif key == "colorspace" and display and view:
                config.views[display][view] = _unquoted(value)
        elif section in ("colorspaces", "display_colorspaces"):
            if key == "name" and not space:
                space = _unquoted(value)
            elif key == "aliases" and space:
                config.aliases.update((_unquoted(alias), space) for alias in _LISTED.findall(value))
    return config


def _unquoted(text: str) -> str:
    return text.strip().strip("\"'").strip()
