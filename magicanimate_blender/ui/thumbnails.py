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

SIDE, SMALL = 256, 32
"""Longest sides in pixels, as a picture and in a line of text."""

KEPT = 3
"""Older versions of a picture that stay: what was drawn a moment ago may still refer to them."""

_icons: bpy.utils.previews.ImagePreviewCollection | None = None
_wanted: dict[str, tuple[Path, int]] = {}
_loaded: dict[str, list[str]] = {}
"""For each picture the names of its versions in `_icons`, oldest first."""
_asked: dict[str, int] = {}
"""The version of each picture that was looked for last."""


def icon(job: str, path: Path | None, version: int = 0) -> int:
    """Icon of a picture of the job, 0 as long as there is none. Another version makes it be loaded again."""
    if _icons is None or path is None:
        return 0
    key = f"{job}/{path.name}"
    if _asked.get(key) != version:
        _wanted[key] = (path, version)
    versions = _loaded.get(key)
    return _icons[versions[-1]].icon_id if versions else 0


def load_wanted() -> bool:
    """Load one picture that a panel asked for; True if there was one. Not while drawing."""
    if _icons is None or not _wanted:
        return False
    key, (path, version) = _wanted.popitem()
    _asked[key] = version
    pixels = _read(path)
    if pixels is None:
        return False
    versions = _loaded.setdefault(key, [])
    number = int(versions[-1].rpartition("/")[2]) + 1 if versions else 0
    versions.append(f"{key}/{number}")
    entry = _icons.new(versions[-1])
    entry.image_size = pixels.shape[1], pixels.shape[0]
    entry.image_pixels_float = pixels.ravel().tolist()
    small = _at_most(pixels, SMALL)
    entry.icon_size = small.shape[1], small.shape[0]
    entry.icon_pixels_float = small.ravel().tolist()
    while len(versions) > KEPT + 1:
        del _icons[versions.pop(0)]
    return True


def forget(job: str) -> None:
    """Its pictures changed or are gone."""
    for key in [key for key in _asked if key.startswith(f"{job}/")]:
        del _asked[key]


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
    return _at_most(pixels.reshape(height, width, 4), SIDE)


def _at_most(pixels: np.ndarray, side: int) -> np.ndarray:
    """Opaque, with its longer side at most so long. (H, W, 4) float."""
    height, width = pixels.shape[:2]
    picture = np.rint(pixels[..., :3] * 255).astype(np.uint8)
    scale = min(1.0, side / max(width, height))
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
    for known in (_wanted, _loaded, _asked):
        known.clear()
