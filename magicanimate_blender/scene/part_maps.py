"""Part maps of a scene. Reading a frame belongs to Blender's main thread; drawing it, the longer part, to any.

for reading in read_frames(scene, characters, range(1, 49), 512, 512):   # in a timer: one next() a tick
    pool.submit(reading.draw)
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

import bpy
import numpy as np

from ..raster.camera import Camera
from ..raster.mitten import mitten_hands
from ..raster.zbuffer import rasterise
from .camera import read_camera
from .characters import Character
from .evaluate import FrameGeometry, GeometryCache
from .evaluation import Evaluation


@dataclass(frozen=True)
class FrameReading:
    """All that a part map of one frame needs, without Blender."""

    frame: int
    geometry: FrameGeometry
    camera: Camera
    width: int
    height: int
    mitten: bool = False

    def draw(self) -> np.ndarray:
        """The part map: uint8 (height, width), labels 0..24, row 0 at the top. Safe in any thread."""
        geometry = self.geometry
        labels = rasterise(
            geometry.positions, geometry.triangles, geometry.labels, self.camera, self.width, self.height
        )
        return mitten_hands(labels) if self.mitten else labels


class FrameReader:
    """Reads frames of a scene for part maps of width x height pixels, over as many turns of a timer as it takes.

    mitten: closed fingers, see raster.mitten. Close it at the end. Constructor and `step` raise SceneError and
    DensePoseError.
    """

    def __init__(
        self,
        scene: bpy.types.Scene,
        characters: Sequence[Character],
        width: int,
        height: int,
        cache: GeometryCache | None = None,
        mitten: bool = False,
    ) -> None:
        self.evaluation = Evaluation(scene, characters, cache)
        self._size = width, height
        self._mitten = mitten

    def step(self, frame: int) -> FrameReading | None:
        """The frame; None if another step is needed (a simulation that is not baked runs through all frames)."""
        geometry = self.evaluation.step(frame)
        return None if geometry is None else self._reading(frame, geometry)

    def read(self, frame: int) -> FrameReading:
        """The frame, however many steps that takes."""
        return self._reading(frame, self.evaluation.at(frame))

    def _reading(self, frame: int, geometry: FrameGeometry) -> FrameReading:
        camera = shot_camera(self.evaluation.depsgraph, *self._size)
        return FrameReading(frame, geometry, camera, *self._size, self._mitten)

    def close(self) -> None:
        self.evaluation.close()


def shot_camera(depsgraph: bpy.types.Depsgraph, width: int, height: int) -> Camera:
    """read_camera of the scene that is evaluated. Raises as that does."""
    return read_camera(depsgraph.scene, width, height, depsgraph)


def draw_part_map(
    scene: bpy.types.Scene,
    characters: Sequence[Character],
    frame: int | None = None,
    width: int = 512,
    height: int = 512,
    cache: GeometryCache | None = None,
    mitten: bool = False,
) -> np.ndarray:
    """The part map of one frame (the current one, if none is given) by the scene's camera: uint8 (height, width).

    Characters without labels are labelled first; nothing else in the scene changes. cache: kept from call to call it
    saves half a second for each character. mitten: closed fingers, see raster.mitten.
    Raises SceneError, DensePoseError.
    """
    frame = scene.frame_current if frame is None else frame
    (reading,) = read_frames(scene, characters, [frame], width, height, cache, mitten)
    return reading.draw()


def part_maps(
    scene: bpy.types.Scene, characters: Sequence[Character], frames: Iterable[int], width: int, height: int
) -> Generator[tuple[int, np.ndarray]]:
    """(frame, part map) for each frame; see read_frames."""
    for reading in read_frames(scene, characters, frames, width, height):
        yield reading.frame, reading.draw()


def read_frames(
    scene: bpy.types.Scene,
    characters: Sequence[Character],
    frames: Iterable[int],
    width: int,
    height: int,
    cache: GeometryCache | None = None,
    mitten: bool = False,
) -> Generator[FrameReading]:
    """What each frame's part map needs. A generator that does one frame per next(). Raises as draw_part_map."""
    reader = FrameReader(scene, characters, width, height, cache, mitten)
    try:
        for frame in frames:
            yield reader.read(frame)
    finally:
        reader.close()


def evaluate_frames(
    scene: bpy.types.Scene,
    characters: Sequence[Character],
    frames: Iterable[int],
    cache: GeometryCache | None = None,
) -> Generator[tuple[int, FrameGeometry, bpy.types.Depsgraph]]:
    """(frame, the characters' geometry, the dependency graph at that frame, for `shot_camera`)."""
    evaluation = Evaluation(scene, characters, cache)
    try:
        for frame in frames:
            yield frame, evaluation.at(frame), evaluation.depsgraph
    finally:
        evaluation.close()
