"""Pictures in the panel: icons of files, loaded once."""

from __future__ import annotations

from pathlib import Path

import bpy
import bpy.utils.previews

_icons: bpy.utils.previews.ImagePreviewCollection | None = None


def icon(job: str, path: Path | None, version: int = 0) -> int:
    """Icon of a picture of the job, 0 if there is none. version: another one loads the file again."""
    if _icons is None or path is None or not path.is_file():
        return 0
    key = f"{job}/{path.name}/{version}"
    if key not in _icons:
        for old in [name for name in _icons if name.startswith(f"{job}/{path.name}/")]:
            del _icons[old]
        _icons.load(key, str(path), "IMAGE")
    return _icons[key].icon_id


def forget(job: str) -> None:
    """Its pictures changed or are gone."""
    if _icons is not None:
        for name in [name for name in _icons if name.startswith(f"{job}/")]:
            del _icons[name]


def register() -> None:
    global _icons
    _icons = bpy.utils.previews.new()


def unregister() -> None:
    global _icons
    if _icons is not None:
        bpy.utils.previews.remove(_icons)
        _icons = None
