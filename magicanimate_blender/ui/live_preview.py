"""A preview of the current frame by itself, once scrubbing or posing has stopped."""

from __future__ import annotations

import time

import bpy

from ..client import ClientError, sha256
from ..densepose.errors import DensePoseError
from ..raster.png import encode_labels
from ..scene.camera import read_camera
from ..scene.characters import Character
from ..scene.context import depsgraph_of
from ..scene.evaluate import extract
from ..scene.part_maps import FrameReading
from . import flow, geometry, messages
from .problems import first_problem
from .request import characters_of
from .runtime import Runtime

PAUSE = 0.8
"""Seconds without a change after which the frame is looked at."""

_changed_at = 0.0
_looked_at = 0.0
_shown = ""
"""sha256 of the part map of the last preview."""


def mark_changed() -> None:
    """The scene changed, or shows another frame."""
    global _changed_at
    _changed_at = time.monotonic()


def consider(runtime: Runtime, scene: bpy.types.Scene) -> None:
    """Start a preview if it is wanted, the scene has settled, and the current part map is not the one shown last."""
    global _looked_at, _shown
    settled = _looked_at < _changed_at < time.monotonic() - PAUSE
    if not scene.magicanimate.live_preview or not settled or runtime.busy() or first_problem(runtime, scene):
        return
    try:
        characters = characters_of(scene)
        if not geometry.ready(characters):
            return  # asked again at the next beat
        _looked_at = time.monotonic()
        digest = _current_map(scene, characters)
        if digest != _shown:
            _shown = digest
            flow.preview_frame(runtime, scene)
    except (ClientError, DensePoseError) as error:
        _looked_at = time.monotonic()
        messages.tell(error)


def _current_map(scene: bpy.types.Scene, characters: list[Character]) -> str:
    """Small, and of what the viewport shows: it only has to tell whether anything moved."""
    surface = extract(scene, depsgraph_of(scene), characters, geometry.cache())
    reading = FrameReading(scene.frame_current, surface, read_camera(scene, 128, 128), 128, 128)
    return sha256(encode_labels(reading.draw()))
