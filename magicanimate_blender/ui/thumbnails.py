"""Pictures in the panel, as icons.

Panels may not load anything while they are drawn: they ask, and the timer loads. Blender's own loader of previews is
not used, for it keeps files by name and second, and a running job rewrites its preview faster.
"""

from __future__ import annotations

from pathlib import Path

import bpy
import bpy.utils.previews
import numpy as np

from .reference import resized

SIDE = 256
"""Longest side of an icon's picture in pixels."""

_icons: bpy.utils.previews.ImagePreviewCollection | None = None
_wanted: dict[str, tuple[Path, int]] = {}
_loaded: dict[str, int] = {}
"""Version of each picture that was loaded."""


def icon(job: str, path: Path | None, version: int = 0) -> int:
    """Icon of a picture of the job, 0 as long as there is none. Another version makes it be loaded again."""
    if _icons is None or path is None:
        return 0
    key = f"{job}/{path.name}"
    if _loaded.get(key) != version:
        _wanted[key] = (path, version)
    return _icons[key].icon_id if key in _icons else 0


def load_wanted() -> bool:
    """Load one picture that a panel asked for; True if there was one. Not while drawing."""
    if _icons is None or not _wanted:
        return False
    key, (path, version) = _wanted.popitem()
    _loaded[key] = version
    pixels = _read(path)
    if pixels is None:
        return False
    entry = _icons[key] if key in _icons else _icons.new(key)
    entry.image_size = pixels.shape[1], pixels.shape[0]
    entry.image_pixels_float = pixels.ravel().tolist()
    return True


def forget(job: str) -> None:
    """Its pictures changed or are gone."""
    for key in [key for key in _loaded if key.startswith(f"{job}/")]:
        del _loaded[key]


def _read(path: Path) -> np.ndarray | None:
    """(H, W, 4) float, bottom row first; None if it is no picture."""
    try:
        image = bpy.data.images.load(str(path), check_existing=False)
    except RuntimeError:
        return None
    try:
        width, height = image.size
        if not width or not height:
            return None
        pixels = np.empty(width * height * 4, np.float32)
        image.pixels.foreach_get(pixels)
    finally:
        bpy.data.images.remove(image)
    picture = (pixels.reshape(height, width, 4)[..., :3] * 255).astype(np.uint8)
    scale = min(1.0, SIDE / max(width, height))
    if scale < 1.0:
        picture = resized(picture, (max(1, round(width * scale)), max(1, round(height * scale))))
    result = np.ones((*picture.shape[:2], 4), np.float32)
    result[..., :3] = picture / np.float32(255)
    return result


def register() -> None:
    global _icons
    _icons = bpy.utils.previews.new()


def unregister() -> None:
    global _icons
    if _icons is not None:
        bpy.utils.previews.remove(_icons)
        _icons = None
    _wanted.clear()
    _loaded.clear()
