"""Labels for surfaces without weights (hair, loose clothes, props): those of the nearest point of a labelled body."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["nearest_triangles", "transfer_labels"]

Points = NDArray[np.float64]
_BLOCK = 64  # query points handled together


def transfer_labels(
    points: ArrayLike, body_vertices: ArrayLike, body_triangles: ArrayLike, body_labels: ArrayLike
) -> NDArray[np.uint8]:
    """Label of the nearest point of the body's surface, for every point (N, 3): uint8 (N,)."""
    nearest = nearest_triangles(points, body_vertices, body_triangles)
    labels: NDArray[np.uint8] = np.asarray(body_labels, np.uint8)[nearest]
    return labels


def nearest_triangles(points: ArrayLike, vertices: ArrayLike, triangles: ArrayLike) -> NDArray[np.int64]:
    """Index of the triangle whose surface is nearest to each point: exact, int64 (N,).

    A triangle's centroid lies on it, so the nearest centroid bounds the distance: only triangles whose centroid is at
    most their own radius further can be nearest. Points are taken in blocks of neighbours, which share a first choice.
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
        shared = np.flatnonzero(distance - radii <= distance.min() + 2 * reach)
        apart = np.sqrt(sum((points[block, k][:, None] - centroids[shared, k]) ** 2 for k in range(3)))
        row, column = np.nonzero(apart - radii[shared] <= apart.min(axis=1, keepdims=True))
        candidates = shared[column]
        squared = _squared_distances(points[block[row]], corners[candidates])
        # the first of each row's smallest: rows come in order, and every row has a candidate
        first = np.searchsorted(row, np.arange(len(block)))
        smallest = np.flatnonzero(squared == np.minimum.reduceat(squared, first)[row])
        nearest[block] = candidates[smallest[np.searchsorted(row[smallest], np.arange(len(block)))]]
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
    """Squared distance of points (N, 3) to as many triangles (N, 3, 3).

    Inside the prism over a triangle the distance to its plane counts, elsewhere that to the nearest edge.
    """
    a, b, c = (corners[:, k] for k in range(3))
    normal = np.cross(b - a, c - a)
    size = (normal**2).sum(axis=1)
    inside = size > 0
    edge = np.full(len(points), np.inf)
    for start, end in ((a, b), (b, c), (c, a)):
        along, to = end - start, points - start
        length = np.maximum((along**2).sum(axis=1), 1e-300)
        t = np.clip((to * along).sum(axis=1) / length, 0, 1)
        edge = np.minimum(edge, ((to - t[:, None] * along) ** 2).sum(axis=1))
        inside &= (np.cross(along, to) * normal).sum(axis=1) >= 0
    plane = ((points - a) * normal).sum(axis=1) ** 2 / np.maximum(size, 1e-300)
    return np.where(inside, np.minimum(plane, edge), edge)
