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
from .characters import Character, get_object
from .context import depsgraph_of
from .evaluate import FrameGeometry, GeometryCache, extract
from .kept import current_frame_kept, poses_kept
from .labels import is_character_labelled, label_character
from .render_state import as_rendered, require_evaluated


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

    Characters without labels are labelled first. The current frame is restored. cache: kept from call to call it saves
    half a second for each character. mitten: closed fingers, see raster.mitten. Raises SceneError, DensePoseError.
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
    """What each frame's part map needs. Restores the current frame when it ends, is closed or fails.

    A generator that does one frame per next(): run it from a timer and Blender stays alive. Raises as draw_part_map.
    """
    for frame, geometry in evaluate_frames(scene, characters, frames, cache):
        yield FrameReading(frame, geometry, read_camera(scene, width, height), width, height, mitten)


def evaluate_frames(
    scene: bpy.types.Scene,
    characters: Sequence[Character],
    frames: Iterable[int],
    cache: GeometryCache | None = None,
) -> Generator[tuple[int, FrameGeometry]]:
    """The characters' geometry at each frame, with the scene at that frame meanwhile; restores frame and poses."""
    for character in characters:
        if not is_character_labelled(character):
            label_character(character)
    names = [name for character in characters for name in character.meshes + character.occluders]
    cache = GeometryCache() if cache is None else cache
    with poses_kept(get_object(character.armature) for character in characters), current_frame_kept(scene):
        for frame in frames:
            objects = [get_object(name) for name in names]
            with as_rendered(scene, objects):
                # Going to the frame we are at would undo a pose that has no keys yet.
                if (frame, 0.0) != (scene.frame_current, scene.frame_subframe):
                    scene.frame_set(frame)
                depsgraph = depsgraph_of(scene)
                require_evaluated(scene, objects)
                geometry = extract(scene, depsgraph, characters, cache)
            yield frame, geometry
