"""Fit the camera to a character as the network's training clips are framed, and say where a shot strays from that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import bpy
import numpy as np
from mathutils import Matrix, Vector

from ..densepose.labels import LABELS
from .camera import read_camera, render_size
from .characters import Character
from .context import depsgraph_of, view_layer_of
from .errors import Note, SceneError
from .evaluate import FrameGeometry, GeometryCache, extract
from .part_maps import evaluate_frames, shot_camera

Crop = Literal["full", "knees"]
HEAD_ROOM = 0.10
_FOOT_ROOM = 0.06
_SIDE_ROOM = 0.05
_MIN_HEIGHT = 0.5
_ASPECT_TOLERANCE = 0.02

_BELOW_KNEES = [row.label for row in LABELS if "lower_leg" in row.name or "foot" in row.name]
_TORSO_BACK, _TORSO_FRONT = 1, 2


@dataclass(frozen=True)
class _Window:
    """The part of the picture to fit into, as tangents of the angles from the view axis."""

    left: float
    right: float
    bottom: float
    top: float


def frame_camera(
    scene: bpy.types.Scene,
    characters: Sequence[Character],
    frames: Iterable[int],
    crop: Crop = "full",
    face: bool = True,
    head_room: float = HEAD_ROOM,
    size: tuple[int, int] | None = None,
) -> None:
    """Move the scene's camera so that the characters fill the picture over all the frames.

    crop: "full" shows the feet, "knees" cuts below the knees. face: look at the front of the body, level;
    otherwise the camera keeps its direction. head_room: share of the picture's height above the highest point.
    size: the picture's pixels, the scene's resolution by default. Lens and sensor stay. Raises SceneError.
    """
    size = size or render_size(scene)
    read_camera(scene, *size)
    shots = [
        geometry for _, geometry, _ in evaluate_frames(scene, characters, frames, GeometryCache(cut_borders=False))
    ]
    if not shots:
        raise SceneError(
            "There are no frames to fit the camera to.", "Set the scene's start frame before its end frame."
        )
    points = np.concatenate([_seen_points(shot, crop) for shot in shots])
    camera = scene.camera
    rotation = _facing(shots) if face else camera.matrix_world.to_quaternion().to_matrix()
    _require_free(camera)
    if camera.data.type == "ORTHO":
        location = _fit_orthographic(scene, points, rotation, crop, head_room, size)
    else:
        window = _window(scene, crop, head_room, size)
        location = _fit_perspective(points @ np.array(rotation), window)
    camera.matrix_world = Matrix.Translation(rotation @ Vector(location)) @ rotation.to_4x4()
    view_layer_of(scene).update()
    depth = -(points @ np.array(rotation))[:, 2].min() + location[2]
    camera.data.clip_end = max(camera.data.clip_end, 2 * float(depth))


def framing_warnings(
    scene: bpy.types.Scene,
    characters: Sequence[Character],
    frames: Iterable[int],
    size: tuple[int, int] | None = None,
    reference_size: tuple[int, int] | None = None,
    cache: GeometryCache | None = None,
) -> list[Note]:
    """Where the shot strays from what the network knows: a small figure, one that leaves the frame, another aspect.

    size: the part maps' pixels, the scene's resolution by default; reference_size: the reference picture's.
    """
    size = size or render_size(scene)
    cache = GeometryCache(cut_borders=False) if cache is None else cache
    return _warnings(evaluate_frames(scene, characters, frames, cache), size, reference_size)


def current_framing_warnings(
    scene: bpy.types.Scene, characters: Sequence[Character], size: tuple[int, int], cache: GeometryCache
) -> list[Note]:
    """framing_warnings of the current frame as the viewport shows it, which is there already."""
    depsgraph = depsgraph_of(scene)
    geometry = extract(scene, depsgraph, characters, cache)
    return _warnings([(scene.frame_current, geometry, depsgraph)], size)


def _warnings(
    shots: Iterable[tuple[int, FrameGeometry, bpy.types.Depsgraph]],
    size: tuple[int, int],
    reference_size: tuple[int, int] | None = None,
) -> list[Note]:
    width, height = size
    notes = []
    low: list[int] = []
    cut: dict[str, list[int]] = {"top": [], "left": [], "right": []}
    gone: list[int] = []
    for frame, geometry, depsgraph in shots:
        clip = shot_camera(depsgraph, width, height).to_clip(_seen_points(geometry, "full"))
        ahead = clip[:, 3] > 1e-9
        ndc = clip[ahead, :2] / clip[ahead, 3:]
        if not len(ndc) or (ndc.max(0) < -1).any() or (ndc.min(0) > 1).any():
            gone.append(frame)
            continue
        bottom, top = np.clip([ndc[:, 1].min(), ndc[:, 1].max()], -1, 1)
        if (top - bottom) / 2 < _MIN_HEIGHT:
            low.append(frame)
        for edge, out in (("top", ndc[:, 1].max()), ("left", -ndc[:, 0].min()), ("right", ndc[:, 0].max())):
            if out > 1:
                cut[edge].append(frame)
    if gone:
        notes.append(Note(f"The figure is out of the picture at {_spoken(gone)}.", "Click Frame Character."))
    for edge, where in cut.items():
        if where:
            notes.append(
                Note(f"The figure leaves the picture at its {edge} at {_spoken(where)}.", "Click Frame Character.")
            )
    if low:
        notes.append(
            Note(
                f"The figure is less than half as high as the picture at {_spoken(low)}: face and hands get lost.",
                "Click Frame Character, or move the camera nearer.",
            )
        )
    if reference_size is not None:
        aspect, wanted = width / height, reference_size[0] / reference_size[1]
        if abs(aspect / wanted - 1) > _ASPECT_TOLERANCE:
            notes.append(
                Note(
                    f"The reference picture is {reference_size[0]} x {reference_size[1]}, the part maps are "
                    f"{width} x {height}: other proportions.",
                    "Crop the reference to the same proportions, or change the resolution.",
                )
            )
    return notes


def _spoken(frames: Sequence[int]) -> str:
    if len(frames) == 1:
        return f"frame {frames[0]}"
    return f"{len(frames)} frames, first at {frames[0]}"


def _seen_points(geometry: FrameGeometry, crop: Crop) -> np.ndarray:
    """(N, 3) world positions of the labelled surface; without lower legs where the picture ends at the knees."""
    drawn = geometry.labels > 0
    if crop == "knees":
        drawn &= ~np.isin(geometry.labels, _BELOW_KNEES)
    return geometry.positions[np.unique(geometry.triangles[drawn])].astype(np.float64)


def _facing(shots: Sequence[FrameGeometry]) -> Matrix:
    """Rotation of a level camera that looks at the front of the body: where the torso's front lies from its back."""
    forward = sum((_forward(shot) for shot in shots), Vector((0, 0, 0)))
    if forward.length < 0.1 * len(shots):  # it turns all round: as it begins
        forward = _forward(shots[0])
    forward = forward.normalized() if forward.length > 1e-6 else Vector((0, -1, 0))
    up = Vector((0, 0, 1))
    # The body's left is right in the picture; a camera's z points back to the viewer.
    return Matrix((up.cross(forward), up, forward)).transposed()


def _forward(geometry: FrameGeometry) -> Vector:
    front, back = (geometry.triangles[geometry.labels == label] for label in (_TORSO_FRONT, _TORSO_BACK))
    if not len(front) or not len(back):
        return Vector((0, 0, 0))
    way = geometry.positions[front].mean((0, 1)) - geometry.positions[back].mean((0, 1))
    return Vector((float(way[0]), float(way[1]), 0)).normalized()


def _window(scene: bpy.types.Scene, crop: Crop, head_room: float, size: tuple[int, int]) -> _Window:
    projection = read_camera(scene, *size).projection
    foot = -1.0 if crop == "knees" else -1 + 2 * _FOOT_ROOM

    def tangent(axis: int, ndc: float) -> float:
        return float((ndc + projection[axis, 2]) / projection[axis, axis])

    side = 1 - 2 * _SIDE_ROOM
    return _Window(tangent(0, -side), tangent(0, side), tangent(1, foot), tangent(1, 1 - 2 * head_room))


def _fit_perspective(points: np.ndarray, window: _Window) -> np.ndarray:
    """Camera position, in camera axes, nearest to the points (N, 3) so that all are inside the window.

    A point is inside where bottom <= (v - y) / (z - w) <= top, linear in the position: the two bounds on y meet
    at the nearest z. The same across. What is to spare goes to both sides alike.
    """
    u, v, w = points.T
    sides = []
    for values, low, high in ((u, window.left, window.right), (v, window.bottom, window.top)):
        lowest, highest = (values + high * w).max(), (values + low * w).min()
        sides.append((lowest, highest, low, high, (lowest - highest) / (high - low)))
    z = max(nearest for *_, nearest in sides)
    x, y = (((lowest - high * z) + (highest - low * z)) / 2 for lowest, highest, low, high, _ in sides)
    return np.array([x, y, z])


def _fit_orthographic(
    scene: bpy.types.Scene,
    points: np.ndarray,
    rotation: Matrix,
    crop: Crop,
    head_room: float,
    size: tuple[int, int],
) -> np.ndarray:
    """Set the orthographic scale; the camera's position in camera axes."""
    camera = scene.camera.data
    local = points @ np.array(rotation)
    camera.ortho_scale = 1.0
    projection = read_camera(scene, *size).projection
    foot = -1.0 if crop == "knees" else -1 + 2 * _FOOT_ROOM
    bounds = ((-1 + 2 * _SIDE_ROOM, 1 - 2 * _SIDE_ROOM), (foot, 1 - 2 * head_room))
    low, high = local.min(0), local.max(0)
    # ndc = P (value - centre) / scale + offset
    scale = max((high[a] - low[a]) * projection[a, a] / (bounds[a][1] - bounds[a][0]) for a in (0, 1))
    camera.ortho_scale = float(scale)
    middle = [
        (low[a] + high[a]) / 2 - (sum(bounds[a]) / 2 - projection[a, 3]) * scale / projection[a, a] for a in (0, 1)
    ]
    return np.array([*middle, high[2] + max(1.0, 2 * camera.clip_start)])


def _require_free(camera: bpy.types.Object) -> None:
    moved = camera.animation_data is not None and (camera.animation_data.action or camera.animation_data.drivers)
    if moved or any(not constraint.mute for constraint in camera.constraints):
        raise SceneError(
            f"The camera “{camera.name}” is moved by its own keys, drivers or constraints.",
            "Make another camera active, or clear them, to have it framed.",
        )
