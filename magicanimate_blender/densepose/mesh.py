"""Small mesh measures: edges, rings where two segments meet, slabs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["box_centre", "edges_of", "mirrored", "ring_points", "slab_points", "triangle_areas"]

Points = NDArray[np.float64]


def edges_of(triangles: NDArray[np.int64]) -> NDArray[np.int64]:
    """Every edge once, smaller vertex first: (E, 2)."""
    pairs = np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    size = int(pairs.max(initial=0)) + 1
    codes = np.unique(pairs[:, 0] * size + pairs[:, 1])
    return np.stack([codes // size, codes % size], axis=1)


def triangle_areas(vertices: Points, triangles: NDArray[np.int64]) -> NDArray[np.float64]:
    """(T,) areas in the square of the vertices' unit."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    area: NDArray[np.float64] = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return area


def ring_points(vertices: Points, edges: NDArray[np.int64], segment: NDArray[np.int8], one: int, other: int) -> Points:
    """Midpoints of the edges that run from one segment into the other: (N, 3)."""
    ends = segment[edges]
    crossing = edges[((ends[:, 0] == one) & (ends[:, 1] == other)) | ((ends[:, 0] == other) & (ends[:, 1] == one))]
    middle: Points = vertices[crossing].mean(axis=1)
    return middle


def box_centre(points: Points) -> Points:
    """Middle of the axis-aligned bounding box: unlike the mean it does not follow the density of vertices."""
    centre: Points = (points.min(axis=0) + points.max(axis=0)) / 2
    return centre


def slab_points(vertices: Points, edges: NDArray[np.int64], low: float, high: float) -> Points:
    """Ends of the edges' pieces inside low <= y <= high: (N, 3), the same extents for coarse and fine meshes."""
    a, b = vertices[edges[:, 0]], vertices[edges[:, 1]]
    rise = b[:, 1] - a[:, 1]
    flat = np.abs(rise) < 1e-12
    safe = np.where(flat, 1.0, rise)
    t = np.stack([(low - a[:, 1]) / safe, (high - a[:, 1]) / safe])
    start = np.where(flat, 0.0, np.clip(t.min(axis=0), 0, 1))
    end = np.where(flat, 1.0, np.clip(t.max(axis=0), 0, 1))
    inside = (np.minimum(a[:, 1], b[:, 1]) <= high) & (np.maximum(a[:, 1], b[:, 1]) >= low)
    a, step = a[inside], (b - a)[inside]
    return np.concatenate([a + start[inside, None] * step, a + end[inside, None] * step])


def mirrored(point: Points, x0: float) -> Points:
    """The point on the other side of the plane x = x0."""
    return np.array([2 * x0 - point[0], point[1], point[2]])
