"""Synthetic clips: a random person, dressed at random, moves before a camera; pictures and exact part maps of it.

A clip is made from its seed alone. Training, held-out tests and nothing else draw from the streams below, which were
fixed before the first training run.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference_server.training.bodies import Array, body_model, pose, random_body
from inference_server.training.looks import Look, random_look
from inference_server.training.motion import random_motion
from inference_server.training.painting import paint, shade
from magicanimate_blender.raster.camera import Camera
from magicanimate_blender.raster.zbuffer import visible_triangles

TRAINING_STREAM, HELD_OUT_STREAM = 1, 2
CLIP_FRAMES, REFERENCES = 16, 2
SUPERSAMPLING = 2
CAMERA_DISTANCE = 10.0  # metres; nothing but the clipping planes depends on it


@dataclass(frozen=True)
class Clip:
    """One person in motion.

    frames (F, S, S, 3) and references (R, S, S, 3): RGB uint8; parts and reference_parts: (., S, S) uint8 DensePose
    labels. References show the same person from the front in other poses.
    """

    frames: NDArray[np.uint8]
    parts: NDArray[np.uint8]
    references: NDArray[np.uint8]
    reference_parts: NDArray[np.uint8]


@dataclass(frozen=True)
class _Surface:
    """What every covered pixel of the supersampled pictures shows."""

    frame: NDArray[np.int64]
    pixel: NDArray[np.int64]
    parts: NDArray[np.uint8]
    normals: Array
    places: Array


def _vertex_normals(vertices: Array, triangles: NDArray[np.int64]) -> Array:
    a, b, c = (vertices[:, triangles[:, k]] for k in range(3))
    faces = np.cross(b - a, c - a)
    order = np.argsort(triangles.ravel(), kind="stable")
    starts = np.searchsorted(triangles.ravel()[order], np.arange(vertices.shape[1]))
    return np.add.reduceat(faces[:, order // 3], starts, axis=1)


def _surface(vertices: Array, scale: float, centre: tuple[float, float], size: int) -> _Surface:
    """What an orthographic camera in front sees of every pose (F, V, 3); `scale` is picture heights per metre."""
    model = body_model()
    place = np.eye(4)
    place[:3, 3] = (*centre, CAMERA_DISTANCE)
    camera = Camera.from_blender(place, width=size, height=size, type="ORTHO", ortho_scale=1 / scale)
    seen = [visible_triangles(pose, model.triangles, camera, size, size) for pose in vertices]
    triangles = np.stack([triangle.ravel() for triangle, _ in seen])
    frame, pixel = np.nonzero(triangles >= 0)
    triangle = triangles[frame, pixel]
    bary = np.stack([b.reshape(-1, 3) for _, b in seen])[frame, pixel]
    corners = model.triangles[triangle]
    normals = np.einsum("nk,nkc->nc", bary, _vertex_normals(vertices, model.triangles)[frame[:, None], corners])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
    places = np.einsum("nk,nkc->nc", bary, model.canonical[corners])
    return _Surface(frame, pixel, model.labels[triangle], normals, places)


def _photograph(surface: _Surface, look: Look, frames: int, size: int) -> NDArray[np.uint8]:
    big = size * SUPERSAMPLING
    down = np.linspace(0, 1, big)[:, None, None]
    wall = look.wall_top * (1 - down) + look.wall_bottom * down
    picture = np.broadcast_to(wall, (frames, big, big, 3)).reshape(frames, -1, 3).astype(np.float32)
    picture[surface.frame, surface.pixel] = shade(paint(look, surface.places, surface.parts), surface.normals, look)
    blocks = picture.reshape(frames, size, SUPERSAMPLING, size, SUPERSAMPLING, 3)
    return (blocks.mean((2, 4)) * 255 + 0.5).astype(np.uint8)


def _part_maps(surface: _Surface, frames: int, size: int) -> NDArray[np.uint8]:
    big = size * SUPERSAMPLING
    labels = np.zeros((frames, big * big), np.uint8)
    labels[surface.frame, surface.pixel] = surface.parts
    return labels.reshape(frames, big, big)[:, ::SUPERSAMPLING, ::SUPERSAMPLING]


def make_clips(stream: int, number: int, *, size: int = 128, frames: int = CLIP_FRAMES, looks: int = 1) -> list[Clip]:
    """Clips number `number` of a stream: one body and motion, `looks` sets of clothes, light and wall."""
    rng = np.random.default_rng([stream, number])
    body = random_body(rng)
    moving = pose(body, random_motion(rng, frames, body))
    posing = [pose(body, random_motion(rng, 1, body, front=True)) for _ in range(REFERENCES)]
    vertices = np.concatenate([moving, *posing])
    # From the whole body to knees-up, large in the picture: an 8-pixel latent cell must not swallow an arm.
    shown = body.height * (1 - 0.33 * rng.uniform() * (rng.uniform() < 0.75))
    scale = 0.9 * rng.uniform(0.92, 1.0) / shown
    top = float(body.vertices[:, 1].max())
    centre = (rng.uniform(-0.06, 0.06) / scale * 0.6, top - 0.45 / scale)
    surface = _surface(vertices, scale, centre, size * SUPERSAMPLING)
    parts = _part_maps(surface, len(vertices), size)
    clips = []
    for _ in range(looks):
        pictures = _photograph(surface, random_look(rng), len(vertices), size)
        clips.append(Clip(pictures[:frames], parts[:frames], pictures[frames:], parts[frames:]))
    return clips
