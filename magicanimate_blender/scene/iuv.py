"""IUV maps of a scene: part, U and V of every pixel, in the charts of DensePose, for other tools."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import bpy
import numpy as np

from ..densepose.charts import chart_uv
from ..raster.camera import Camera
from ..raster.iuv import iuv_picture
from ..raster.zbuffer import visible_triangles
from .characters import Character, get_object, objects_of
from .errors import SceneError
from .evaluate import FrameGeometry, GeometryCache, extract
from .labels import measure
from .part_maps import evaluate_frames, shot_camera
from .scratch import ScratchScene


@dataclass(frozen=True)
class IuvReading:
    """All that an IUV map of one frame needs, without Blender. uv: (T, 3, 2) of the corners of each triangle, 0..1."""

    frame: int
    geometry: FrameGeometry
    uv: np.ndarray
    camera: Camera
    width: int
    height: int

    def draw(self) -> np.ndarray:
        """uint8 (height, width, 3): part, 255 U, 255 V; 0 for background. Safe in any thread."""
        geometry = self.geometry
        triangle, barycentric = visible_triangles(
            geometry.positions, geometry.triangles, self.camera, self.width, self.height
        )
        return iuv_picture(triangle, barycentric, geometry.labels, self.uv)


def read_iuv_frames(
    scene: bpy.types.Scene, characters: Sequence[Character], frames: Iterable[int], width: int, height: int
) -> Iterator[IuvReading]:
    """What each frame's IUV map needs; as part_maps.read_frames, also in what it raises.

    U and V come from the rest pose and stay with the faces. SceneError where faces change with the pose.
    """
    cache = GeometryCache()
    uv: np.ndarray | None = None
    for frame, geometry, depsgraph in evaluate_frames(scene, characters, frames, cache):
        uv = _uv_at_rest(scene, characters, cache) if uv is None else uv
        if len(geometry.triangles) != len(uv):
            raise SceneError(
                "The faces of a character change with its pose, so that U and V cannot follow them.",
                "Move its Armature modifier below the modifiers that change faces, or export labels only.",
            )
        yield IuvReading(frame, geometry, uv, shot_camera(depsgraph, width, height), width, height)


def _uv_at_rest(scene: bpy.types.Scene, characters: Sequence[Character], cache: GeometryCache) -> np.ndarray:
    """(T, 3, 2): U and V at the corners of the triangles that extract gives, measured in the rest pose."""
    armatures = [get_object(character.armature) for character in characters]
    with ScratchScene(scene, objects_of(characters), rest=True) as scratch:
        depsgraph = scratch.evaluate(scene.frame_current)
        rest = extract(scene, depsgraph, characters, cache)
        worlds = [scratch.evaluated(armature).matrix_world.copy() for armature in armatures]
    uv = np.zeros((len(rest.triangles), 3, 2), np.float32)
    for number, (character, world) in enumerate(zip(characters, worlds, strict=True)):
        own = rest.owners == number
        to_armature = np.array(world.inverted_safe())
        positions = rest.positions @ to_armature[:3, :3].T + to_armature[:3, 3]
        uv[own] = chart_uv(positions, rest.triangles[own], rest.labels[own], measure(character).anchors)
    return uv
