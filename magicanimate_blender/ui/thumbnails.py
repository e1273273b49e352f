"""Pictures in the panel, as icons.

Panels may not load anything while they are drawn: they ask, a thread reads the file, and the timer shows it. Nothing of
it passes through `bpy.data`: an image that comes and goes there rebuilds the dependency graph of the whole scene.
Blender's own loader of previews is not used, for it keeps files by name and second, and a running job rewrites its
preview faster.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import bpy
import bpy.utils.previews
import numpy as np

from ..raster.png import decode_picture
from .reference import resized

SIDE, SMALL = 256, 32
"""Longest sides in pixels, as a picture and in a line of text."""

KEPT = 3
"""Older versions of a picture that stay: what was drawn a moment ago may still refer to them."""


class Pictures(NamedTuple):
    """float32 (H, W, 4), bottom row first, opaque."""

    large: np.ndarray
    small: np.ndarray


_icons: bpy.utils.previews.ImagePreviewCollection | None = None
_pool: ThreadPoolExecutor | None = None
_wanted: dict[str, tuple[Path, int]] = {}
_read: dict[str, Future[Pictures | None]] = {}
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
    """Have read what panels asked for, and take in what has been read; True if there is a new picture to be drawn.

    Not while drawing.
    """
    global _pool
    while _wanted:
        key, (path, version) = _wanted.popitem()
        _asked[key] = version
        _pool = _pool or ThreadPoolExecutor(1, "magicanimate pictures")
        _read[key] = _pool.submit(read_pictures, path)
    ready = [key for key, future in _read.items() if future.done()]
    new = [key for key in ready if _take_in(key, _read.pop(key).result())]
    return bool(new)


def reading() -> bool:
    """Whether pictures are on their way."""
    return bool(_wanted or _read)


def _take_in(key: str, pictures: Pictures | None) -> bool:
    if _icons is None or pictures is None:
        return False
    versions = _loaded.setdefault(key, [])
    number = int(versions[-1].rpartition("/")[2]) + 1 if versions else 0
    versions.append(f"{key}/{number}")
    entry = _icons.new(versions[-1])
    entry.image_size = pictures.large.shape[1], pictures.large.shape[0]
    entry.image_pixels_float.foreach_set(pictures.large.ravel())
    entry.icon_size = pictures.small.shape[1], pictures.small.shape[0]
    entry.icon_pixels_float.foreach_set(pictures.small.ravel())
    while len(versions) > KEPT + 1:
        del _icons[versions.pop(0)]
    return True


def forget(job: str) -> None:
    """Its pictures changed or are gone."""
    for key in [key for key in _asked if key.startswith(f"{job}/")]:
        del _asked[key]


def read_pictures(path: Path) -> Pictures | None:
    """The picture of a PNG file in both sizes; None if it is none. For any thread."""
    try:
        picture = decode_picture(path.read_bytes())
    except (OSError, ValueError):
        return None
    large = _at_most(picture, SIDE)
    return Pictures(_as_icon(large), _as_icon(_at_most(large, SMALL)))


def _at_most(picture: np.ndarray, side: int) -> np.ndarray:
    """uint8 (H, W, 3), made smaller if its longer side is longer than that."""
    height, width = picture.shape[:2]
    scale = side / max(width, height)
    if scale >= 1.0:
        return picture
    return resized(picture, (max(1, round(width * scale)), max(1, round(height * scale))))


def _as_icon(picture: np.ndarray) -> np.ndarray:
    pixels = np.ones((*picture.shape[:2], 4), np.float32)
    pixels[..., :3] = picture[::-1] / np.float32(255)
    return pixels


def register() -> None:
    global _icons
    _icons = bpy.utils.previews.new()


def unregister() -> None:
    global _icons, _pool
    if _pool is not None:
        _pool.shutdown(cancel_futures=True)
        _pool = None
    if _icons is not None:
        bpy.utils.previews.remove(_icons)
        _icons = None
    for known in (_wanted, _read, _loaded, _asked):
        known.clear()
