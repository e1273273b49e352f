"""Where a clip's plane stands so that it covers exactly what the part maps' camera saw."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import bpy
from mathutils import Matrix, Vector

from ..scene.camera import read_camera
from ..scene.scratch import ScratchScene

IN_FRONT = 0.98
"""Share of the way to the nearest point of the character at which a plane stands, so that it hides the character."""


@dataclass(frozen=True)
class Placement:
    """A unit square's matrix: centre, orientation (x right, y up, z towards the viewer) and size (x, y in metres)."""

    matrix: Matrix
    parent: bpy.types.Object | None = None


def before_camera(scene: bpy.types.Scene, size: tuple[int, int], depth: float) -> Placement:
    """Fill the view that the scene's camera has at `size` (width, height in pixels), `depth` metres away, for good.

    Raises SceneError without a camera.
    """
    left_bottom, right_top = view_rectangle(scene, size, depth)
    camera = scene.camera
    centre = (left_bottom + right_top) / 2
    extent = right_top - left_bottom
    local = Matrix.Translation(centre) @ Matrix.Diagonal((extent.x, extent.y, 1.0, 1.0))
    return Placement(_rigid(camera.matrix_world) @ local, parent=camera)


def at_cursor(scene: bpy.types.Scene, size: tuple[int, int], height: float) -> Placement:
    """Stand upright on the 3D cursor, `height` metres tall, turned towards the camera if there is one."""
    foot = scene.cursor.location
    towards = (scene.camera.matrix_world.translation - foot) if scene.camera else Vector((0.0, -1.0, 0.0))
    towards.z = 0.0
    turn = Vector((0.0, -1.0, 0.0)).rotation_difference(towards.normalized()) if towards.length > 1e-6 else None
    upright = Matrix.Rotation(1.5707963267948966, 4, "X")
    place = Matrix.Translation(foot + Vector((0.0, 0.0, height / 2)))
    scale = Matrix.Diagonal((height * size[0] / size[1], height, 1.0, 1.0))
    return Placement(place @ (turn.to_matrix().to_4x4() if turn else Matrix()) @ upright @ scale)


def view_rectangle(scene: bpy.types.Scene, size: tuple[int, int], depth: float) -> tuple[Vector, Vector]:
    """Lower left and upper right corner, in camera space, of what the camera sees `depth` metres away."""
    projection = Matrix(read_camera(scene, *size).projection.tolist())
    at_depth = projection @ Vector((0.0, 0.0, -depth, 1.0))
    back = projection.inverted()
    corners = [back @ Vector((x * at_depth.w, x * at_depth.w, at_depth.z, at_depth.w)) for x in (-1.0, 1.0)]
    left_bottom, right_top = (corner.xyz / corner.w for corner in corners)
    return left_bottom, right_top


def depth_before(scene: bpy.types.Scene, objects: Iterable[bpy.types.Object], frames: Iterable[int]) -> float:
    """Metres from the camera to just before the nearest point of the objects' bounding boxes over the frames.

    Without objects, or where they reach behind the camera: the 3D cursor's depth, or 5 m.
    """
    return just_before(scene, nearest_point(scene, objects, frames))


def nearest_point(scene: bpy.types.Scene, objects: Iterable[bpy.types.Object], frames: Iterable[int]) -> float:
    """Metres from the camera to the nearest point of the objects' bounding boxes over the frames; inf without any."""
    objects, nearest = list(objects), math.inf
    with ScratchScene(scene, objects, everything=True) as scratch:
        for frame in frames if objects else ():
            depsgraph = scratch.evaluate(frame)
            to_camera = _rigid(scratch.scene.camera.evaluated_get(depsgraph).matrix_world).inverted()
            for item in objects:
                evaluated = scratch.evaluated(item)
                matrix = to_camera @ evaluated.matrix_world
                nearest = min(nearest, *(-(matrix @ Vector(corner)).z for corner in evaluated.bound_box))
    return nearest


def just_before(scene: bpy.types.Scene, nearest: float) -> float:
    """The depth of a plane that hides what comes as near as that; see `depth_before`."""
    camera = scene.camera
    if camera.data.clip_start < nearest < math.inf:
        return max(nearest * IN_FRONT, camera.data.clip_start * 1.01)
    at_cursor = -(_rigid(camera.matrix_world).inverted() @ scene.cursor.location).z
    return at_cursor if at_cursor > camera.data.clip_start else 5.0


def _rigid(matrix: Matrix) -> Matrix:
    """Without scale, as Blender's cameras see."""
    return Matrix.LocRotScale(matrix.translation, matrix.to_quaternion(), None)
