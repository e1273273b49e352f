"""Draw the part maps of a job a slice at a time, so that Blender's window stays alive.

Reading a frame needs Blender's main thread (about 10 ms), drawing it does not (about 50 ms): a pool does that.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Protocol

import bpy
import numpy as np

from ..densepose.errors import DensePoseError
from ..raster.png import encode_labels
from ..scene.characters import Character
from ..scene.errors import SceneError
from ..scene.part_maps import FrameReading, read_frames
from . import geometry

SLICE = 0.04
"""Seconds of the main thread that one tick may take; a heavy rig's single frame may take longer."""
AHEAD = 4
"""Frames read but not yet drawn: bounds memory."""
WORKERS = 2


class Taker(Protocol):
    """Whoever wants part maps: an Animation, or somebody who compares them."""

    def add_map(self, frame: int, png: bytes) -> None: ...

    def cancel(self) -> None: ...


class Drawing:
    """Part maps of `frames` (scene frames) of a scene, each given as PNG to all `takers`, which wait for them.

    The scene is kept by its session id: it may be renamed or deleted meanwhile, and undo replaces it in memory.
    nearest: metres from the camera to the nearest point of the characters in the frames drawn so far.
    """

    def __init__(
        self,
        scene: bpy.types.Scene,
        characters: Sequence[Character],
        frames: Sequence[int],
        size: tuple[int, int],
        takers: Sequence[Taker],
        *,
        mitten: bool = False,
    ) -> None:
        self.takers = list(takers)
        self.nearest = math.inf
        self.error: DensePoseError | None = None
        self._scene = scene.session_uid
        self._characters = list(characters)
        self._to_read = deque(enumerate(frames))
        self._size = size
        self._mitten = mitten
        self._drawn: deque[tuple[int, Future[tuple[bytes, float]]]] = deque()
        self._pool = ThreadPoolExecutor(WORKERS, "magicanimate drawing")

    @property
    def done(self) -> bool:
        return self.error is not None or not (self._to_read or self._drawn)

    def work(self, seconds: float = SLICE) -> None:
        """Go on for about that long. A problem of the scene ends it: see `error`."""
        try:
            self._hand_over()
            if self._to_read and len(self._drawn) < AHEAD and not occupied():
                self._read(time.monotonic() + seconds)
        except DensePoseError as error:
            self.error = error
        if self.done:
            self.cancel()

    def cancel(self) -> None:
        """Stop drawing. The takers are not told."""
        self._to_read.clear()
        self._drawn.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, until: float) -> None:
        scene = next((s for s in bpy.data.scenes if s.session_uid == self._scene), None)
        if scene is None:
            raise SceneError("The scene was deleted while its part maps were drawn.", "Animate another scene.")
        if not geometry.ready(self._characters):
            return
        frames = [frame for _, frame in self._to_read]
        readings = read_frames(scene, self._characters, frames, *self._size, geometry.cache(), self._mitten)
        with closing(readings):  # which puts the scene back to the frame that the person looks at
            for reading in readings:
                number, _ = self._to_read.popleft()
                self._drawn.append((number, self._pool.submit(_draw, reading)))
                if time.monotonic() > until or len(self._drawn) >= AHEAD:
                    break

    def _hand_over(self) -> None:
        while self._drawn and self._drawn[0][1].done():
            number, future = self._drawn.popleft()
            png, depth = future.result()
            self.nearest = min(self.nearest, depth)
            for taker in self.takers:
                with suppress(ValueError):  # it ended meanwhile, or has this map
                    taker.add_map(number, png)


def _draw(reading: FrameReading) -> tuple[bytes, float]:
    """The part map as PNG, and the depth of the nearest point before the camera. In a thread."""
    view = reading.camera.view
    depths = -(reading.geometry.positions @ view[2, :3].astype(np.float32) + np.float32(view[2, 3]))
    return encode_labels(reading.draw()), float(depths.min())


def occupied() -> bool:
    """Whether somebody else is moving through the frames just now."""
    playing = any(w.screen.is_animation_playing for w in bpy.context.window_manager.windows)
    return playing or bpy.app.is_job_running("RENDER")
