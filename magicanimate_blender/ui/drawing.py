"""Draw the part maps of a job a slice at a time, so that Blender's window stays alive.

Reading a frame needs Blender's main thread (about 5 ms), drawing it does not (about 50 ms): a pool does that. The
artist's scene stays at its frame, so that nothing is redrawn meanwhile.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol

import bpy
import numpy as np

from ..densepose.errors import DensePoseError
from ..raster.png import encode_labels
from ..scene.characters import Character
from ..scene.errors import Note, SceneError
from ..scene.obstacles import waits_for
from ..scene.part_maps import FrameReader, FrameReading
from . import geometry

SLICE = 0.05
"""Seconds of the main thread that one turn may take; a heavy rig's single frame may take longer."""
AHEAD = 8
"""Frames read but not yet drawn: bounds memory."""
WORKERS = 2


class MapConsumer(Protocol):
    """Whoever wants part maps: an Animation, or somebody who compares them."""

    def wants_maps(self) -> bool:
        """False once it has ended: nothing is drawn for it any more."""
        ...

    def add_map(self, frame: int, png: bytes) -> None: ...

    def cancel(self) -> None: ...


class Drawing:
    """Part maps of `frames` (scene frames) of a scene, each given as PNG to all `consumers`, which wait for them.

    drawn: maps handed over so far, of `total`.
    nearest: metres from the camera to the nearest point of the characters in the frames drawn so far.
    waiting: what keeps it from going on until the person has finished, or None.
    note: something to tell the person once, or None.
    """

    def __init__(
        self,
        scene: bpy.types.Scene,
        characters: Sequence[Character],
        frames: Sequence[int],
        size: tuple[int, int],
        consumers: Sequence[MapConsumer],
        *,
        mitten: bool = False,
    ) -> None:
        self.consumers = list(consumers)
        self.total = len(frames)
        self.drawn = 0
        self.nearest = math.inf
        self.error: DensePoseError | None = None
        self.waiting: SceneError | None = None
        self.note: Note | None = None
        self._characters = list(characters)
        self._to_read = deque(enumerate(frames))
        self._reader = FrameReader(scene, characters, *size, geometry.cache(), mitten)
        self._drawn: deque[tuple[int, Future[tuple[bytes, float]]]] = deque()
        self._pool = ThreadPoolExecutor(WORKERS, "magicanimate drawing")
        self._looked_at_pose = False

    @property
    def done(self) -> bool:
        return self.error is not None or not (self._to_read or self._drawn)

    def work(self, seconds: float = SLICE) -> None:
        """Go on for about that long. A problem of the scene ends it: see `error`."""
        try:
            self._hand_over()
            self.waiting = waits_for(self._characters) if self._to_read else None
            if not any(consumer.wants_maps() for consumer in self.consumers):
                self._to_read.clear()
                self._drawn.clear()
            elif self._to_read and self.waiting is None and not is_rendering():
                self._read(time.monotonic() + (seconds / 3 if is_playing() else seconds))
        except DensePoseError as error:
            self.error = error
        if self.done:
            self.cancel()

    def cancel(self) -> None:
        """Stop drawing. The consumers are not told."""
        self._to_read.clear()
        self._drawn.clear()
        self._reader.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, until: float) -> None:
        if not geometry.ready(self._characters):
            return
        if not self._looked_at_pose:
            self._looked_at_pose = True
            if self._reader.evaluation.unkeyed_pose():
                self.note = Note(
                    "The current frame shows a pose without keyframes, which the animation does not have.",
                    "To animate it, insert keyframes (I in Pose Mode) and animate again.",
                )
        while self._to_read and len(self._drawn) < AHEAD and time.monotonic() < until:
            number, frame = self._to_read[0]
            reading = self._reader.step(frame)
            if reading is not None:
                self._to_read.popleft()
                self._drawn.append((number, self._pool.submit(_draw, reading)))

    def _hand_over(self) -> None:
        while self._drawn and self._drawn[0][1].done():
            number, future = self._drawn.popleft()
            png, depth = future.result()
            self.nearest = min(self.nearest, depth)
            self.drawn += 1
            for consumer in self.consumers:
                with suppress(ValueError):  # it ended meanwhile, or has this map
                    if consumer.wants_maps():
                        consumer.add_map(number, png)


def _draw(reading: FrameReading) -> tuple[bytes, float]:
    """The part map as PNG, and the depth of the nearest point before the camera. In a thread."""
    view = reading.camera.view
    depths = -(reading.geometry.positions @ view[2, :3].astype(np.float32) + np.float32(view[2, 3]))
    return encode_labels(reading.draw()), float(depths.min())


def is_playing() -> bool:
    return any(window.screen.is_animation_playing for window in bpy.context.window_manager.windows)


def is_rendering() -> bool:
    """While Blender renders in the background, nothing may be added to the file's data."""
    return bool(bpy.app.is_job_running("RENDER"))
