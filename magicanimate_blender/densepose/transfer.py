"""Labels for surfaces without weights (hair, loose clothes, props): those of the nearest point of a labelled body."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["nearest_triangles", "transfer_labels"]

Points = NDArray[np.float64]
_BLOCK = 64  # query points handled together
_PAIRS = 2_000_000  # distances held at once


def transfer_labels(
    points: ArrayLike, body_vertices: ArrayLike, body_triangles: ArrayLike, body_labels: ArrayLike
) -> NDArray[np.uint8]:
    """Label of the nearest point of the body's surface, for every point (N, 3): uint8 (N,)."""
    nearest = nearest_triangles(points, body_vertices, body_triangles)
    labels: NDArray[np.uint8] = np.asarray(body_labels, np.uint8)[nearest]
    return labels


def nearest_triangles(points: ArrayLike, vertices: ArrayLike, triangles: ArrayLike) -> NDArray[np.int64]:
    """Index of the triangle whose surface is nearest to each point: exact, int64 (N,).

    Points are taken in blocks of neighbours. No triangle further from a block's centre than its nearest centroid, plus
    the block's diameter and the triangle's own radius, can be nearest to any point of the block.
    """
    points = np.asarray(points, np.float64).reshape(-1, 3)
    corners = np.asarray(vertices, np.float64)[np.asarray(triangles, np.int64)]
    centroids = corners.mean(axis=1)
    radii = np.linalg.norm(corners - centroids[:, None], axis=2).max(axis=1)
    nearest = np.zeros(len(points), np.int64)
    order = _along_a_curve(points)
    for start in range(0, len(points), _BLOCK):
        block = order[start : start + _BLOCK]
        centre = points[block].mean(axis=0)
        reach = np.linalg.norm(points[block] - centre, axis=1).max()
        distance = np.linalg.norm(centroids - centre, axis=1)
        candidates = np.flatnonzero(distance - radii <= distance.min() + 2 * reach)
        step = max(1, _PAIRS // len(candidates))
        for part in (block[i : i + step] for i in range(0, len(block), step)):
            squared = _squared_distances(points[part], corners[candidates])
            nearest[part] = candidates[squared.argmin(axis=1)]
    return nearest


def _along_a_curve(points: Points) -> NDArray[np.int64]:
    """Order of the points along a Morton curve, so that blocks of it are compact."""
    span = np.maximum(np.ptp(points, axis=0), 1e-12) if len(points) else 1.0
    cell = ((points - points.min(axis=0, initial=np.inf)) / span * 1023).astype(np.int64)
    code = np.zeros(len(points), np.int64)
    for bit in range(10):
        for axis in range(3):
            code |= ((cell[:, axis] >> bit) & 1) << (3 * bit + axis)
    return np.argsort(code, kind="stable")


def _squared_distances(points: Points, corners: Points) -> Points:
    """Squared distance of every point (N, 3) to every triangle (M, 3, 3): (N, M).

    Inside the prism over a triangle the distance to its plane counts, elsewhere that to the nearest edge.
    """
    a, b, c = (corners[None, :, k] for k in range(3))
    p = points[:, None]
    normal = np.cross(b - a, c - a)
    size = (normal**2).sum(axis=2)
    inside = size > 0
    edge: Points = np.full(np.broadcast_shapes(p.shape, a.shape)[:2], np.inf)
    for start, end in ((a, b), (b, c), (c, a)):
        along, to = end - start, p - start
        length = np.maximum((along**2).sum(axis=2), 1e-300)
        t = np.clip((to * along).sum(axis=2) / length, 0, 1)
        edge = np.minimum(edge, ((to - t[..., None] * along) ** 2).sum(axis=2))
        inside = inside & ((np.cross(along, to) * normal).sum(axis=2) >= 0)
    plane = ((p - a) * normal).sum(axis=2) ** 2 / np.maximum(size, 1e-300)
    return np.where(inside, plane, edge)
