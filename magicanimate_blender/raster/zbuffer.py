"""The z-buffer: triangles -> which one each pixel's centre sees. Vectorised over scanlines, without anti-aliasing.

Every triangle is cut into spans, one per row of pixels, and spans into fragments. A shared edge gives both its triangles the
same end of the span, so surfaces have neither cracks nor double pixels. Both sides of a triangle are drawn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..densepose.errors import DensePoseError
from .camera import Camera

__all__ = ["rasterise", "visible_triangles"]

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_FRAGMENTS = 1 << 21  # fragments held at once: bounds the memory of big pictures with many layers


def rasterise(
    positions: ArrayLike, triangles: ArrayLike, labels: ArrayLike, camera: Camera, width: int, height: int
) -> NDArray[np.uint8]:
    """Draw labelled triangles: uint8 (height, width), row 0 at the top, 0 where nothing is seen.

    positions (V, 3) in world space, triangles (T, 3), labels (T,). Concatenated meshes hide each other by true depth;
    an occluder is a mesh with label 0. Raises DensePoseError for a frame without area and triangles that do not fit.
    """
    labels = np.asarray(labels, np.uint8)
    nearest = _nearest(*_projected(positions, triangles, camera, width, height), width, height)
    if len(labels) != np.asarray(triangles).reshape(-1, 3).shape[0]:
        raise DensePoseError(
            f"There are {len(labels)} labels for {len(np.asarray(triangles))} triangles.", "Label the mesh again."
        )
    picture: NDArray[np.uint8] = np.append(labels, np.uint8(0))[nearest].reshape(height, width)
    return picture


def visible_triangles(
    positions: ArrayLike, triangles: ArrayLike, camera: Camera, width: int, height: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """What each pixel sees: triangle index int32 (H, W), -1 for none, and its barycentric coordinates float32 (H, W, 3).

    The coordinates are perspective-correct: attribute = sum over the corners of coordinate * the corner's value.
    """
    clip, triangles = _projected(positions, triangles, camera, width, height)
    nearest = _nearest(clip, triangles, width, height)
    barycentric = np.zeros((height * width, 3), np.float32)
    seen = np.flatnonzero(nearest >= 0)
    # homogeneous coordinates (x, y, w) of the corners span the pixel's ray, also where a corner is behind the camera
    a, b, c = (clip[triangles[nearest[seen], k]][:, [0, 1, 3]] for k in range(3))
    x = (seen % width + 0.5) / width * 2 - 1
    y = 1 - (seen // width + 0.5) / height * 2
    ray = np.stack([x, y, np.ones(len(seen))], axis=1)
    shares = np.stack([(np.cross(u, v) * ray).sum(axis=1) for u, v in ((b, c), (c, a), (a, b))], axis=1)
    total = shares.sum(axis=1, keepdims=True)
    barycentric[seen] = np.clip(shares / np.where(total == 0, 1, total), 0, 1)
    return nearest.astype(np.int32).reshape(height, width), barycentric.reshape(height, width, 3)


def _projected(
    positions: ArrayLike, triangles: ArrayLike, camera: Camera, width: int, height: int
) -> tuple[Array, Index]:
    if width <= 0 or height <= 0:
        raise DensePoseError(
            f"The frame has no area: {width} x {height} pixels.", "Set the resolution under Output > Format."
        )
    positions = np.asarray(positions).reshape(-1, 3)
    triangles = np.asarray(triangles, np.int64).reshape(-1, 3)
    if len(triangles) and (triangles.min() < 0 or triangles.max() >= len(positions)):
        raise DensePoseError("Some faces name vertices that are not there.", "Label the mesh again.")
    return camera.to_clip(positions), triangles


def _nearest(clip: Array, triangles: Index, width: int, height: int) -> Index:
    """Index of the nearest triangle per pixel, -1 for none: (height * width,)."""
    corners, source = _clipped(clip, triangles)
    w = corners[..., 3]
    x = (corners[..., 0] / w + 1) * (width / 2)
    y = (1 - corners[..., 1] / w) * (height / 2)
    z = corners[..., 2] / w
    # only triangles whose box holds a pixel's centre, the furthest first
    low = [np.maximum(np.ceil(v.min(axis=1) - 0.5), 0) for v in (x, y)]
    high = [np.minimum(np.ceil(v.max(axis=1) - 0.5), size) for v, size in ((x, width), (y, height))]
    kept = np.flatnonzero((low[0] < high[0]) & (low[1] < high[1]))
    kept = kept[np.argsort(-z[kept].sum(axis=1))]
    x, y, z, source = x[kept], y[kept], z[kept], source[kept]

    order = np.argsort(y, axis=1)
    x, y, z = (np.take_along_axis(v, order, axis=1) for v in (x, y, z))
    triangle, column, count, row, depth, slope = _spans(x, y, z, width, height)

    nearest = np.full(height * width, -1, np.int64)
    nearest_depth = np.full(height * width, np.inf)
    ends = np.cumsum(count)
    start = 0
    while start < len(count):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _FRAGMENTS, side="right")))
        part = slice(start, stop)
        counts = count[part]
        offset = np.arange(int(counts.sum())) - np.repeat(ends[part] - counts - done, counts)
        pixel = np.repeat(row[part] * width + column[part], counts) + offset
        fragment_depth = np.repeat(depth[part], counts) + offset * np.repeat(slope[part], counts)
        _resolve(pixel, fragment_depth, np.repeat(source[triangle[part]], counts), nearest, nearest_depth)
        start = stop
    return nearest


def _clipped(clip: Array, triangles: Index) -> tuple[Array, Index]:
    """Corners (N, 3, 4) of the triangles cut at the near plane, and the triangle (N,) each came from.

    Triangles wholly outside one plane of the frustum are left out. w > 0 for every corner that comes back.
    """
    near = clip[:, 2] + clip[:, 3]  # >= 0 in front of the near plane
    outside = [near < 0, clip[:, 2] > clip[:, 3]]
    outside += [sign * clip[:, axis] > clip[:, 3] for axis in (0, 1) for sign in (1, -1)]
    bits = np.zeros(len(clip), np.uint8)
    for k, plane in enumerate(outside):
        bits |= plane.astype(np.uint8) << k
    a, b, c = (bits[triangles[:, k]] for k in range(3))
    kept = np.flatnonzero((a & b & c) == 0)
    behind = ((a | b | c)[kept] & 1) > 0
    if not behind.any():
        return clip[triangles[kept]], kept
    whole, cut = kept[~behind], kept[behind]
    corners, source = [clip[triangles[whole]]], [whole]
    front = near[triangles[cut]] >= 0
    for inside_count in (1, 2):
        these = cut[front.sum(axis=1) == inside_count]
        # turn the corners so that the odd one out comes first
        odd = (front[front.sum(axis=1) == inside_count] == (inside_count == 1)).argmax(axis=1)
        turned = triangles[these[:, None], (odd[:, None] + np.arange(3)) % 3]
        p, q, r = (clip[turned[:, k]] for k in range(3))
        pq, pr = _at_near_plane(p, q), _at_near_plane(p, r)
        if inside_count == 1:
            corners.append(np.stack([p, pq, pr], axis=1))
            source.append(these)
        else:
            corners += [np.stack([pq, q, r], axis=1), np.stack([pq, r, pr], axis=1)]
            source += [these, these]
    return np.concatenate(corners), np.concatenate(source)


def _at_near_plane(p: Array, q: Array) -> Array:
    dp, dq = p[:, 2] + p[:, 3], q[:, 2] + q[:, 3]
    point: Array = p + (dp / (dp - dq))[:, None] * (q - p)
    return point


def _spans(x: Array, y: Array, z: Array, width: int, height: int) -> tuple[Index, Index, Index, Index, Array, Array]:
    """Cut triangles, corners (N, 3) sorted by y, into rows of pixels whose centres they cover.

    Returns per span: triangle, first column, number of pixels, row, depth at the first pixel, depth per column.
    """
    first = np.clip(np.ceil(y[:, 0] - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(y[:, 2] - 0.5), 0, height).astype(np.int64)
    rows = np.maximum(last - first, 0)
    triangle = np.repeat(np.arange(len(x)), rows)
    row = np.arange(len(triangle)) + np.repeat(first - (np.cumsum(rows) - rows), rows)
    yc = row + 0.5

    def along(start: int, end: int) -> Array:
        rise = y[:, end] - y[:, start]
        slope = (x[:, end] - x[:, start]) / np.where(rise > 0, rise, 1)
        crossing: Array = x[triangle, start] + (yc - y[triangle, start]) * slope[triangle]
        return crossing

    long_side = along(0, 2)
    short_side = np.where(yc < y[triangle, 1], along(0, 1), along(1, 2))
    left = np.clip(np.ceil(np.minimum(long_side, short_side) - 0.5), 0, width).astype(np.int64)
    right = np.clip(np.ceil(np.maximum(long_side, short_side) - 0.5), 0, width).astype(np.int64)

    full = np.flatnonzero(right > left)
    triangle, row, left, right = triangle[full], row[full], left[full], right[full]
    per_column, per_row = _gradient(x, y, z)
    depth = (
        z[triangle, 0]
        + (left + 0.5 - x[triangle, 0]) * per_column[triangle]
        + (row + 0.5 - y[triangle, 0]) * per_row[triangle]
    )
    return triangle, left, right - left, row, depth, per_column[triangle]


def _gradient(x: Array, y: Array, z: Array) -> tuple[Array, Array]:
    x1, y1, z1 = (v[:, 1] - v[:, 0] for v in (x, y, z))
    x2, y2, z2 = (v[:, 2] - v[:, 0] for v in (x, y, z))
    area = x1 * y2 - x2 * y1
    area = np.where(area == 0, np.inf, area)
    return (z1 * y2 - z2 * y1) / area, (x1 * z2 - x2 * z1) / area


def _resolve(pixel: Index, depth: Array, source: Index, nearest: Index, nearest_depth: Array) -> None:
    """Merge fragments into the buffers. Writes all, then again those that a further one overwrote, until none is left.

    Fragments come furthest first, so that a round or two settles most pixels: half the time of sorting them all.
    """
    inside = (depth < nearest_depth[pixel]) & (depth <= 1)
    pixel, depth, source = pixel[inside], depth[inside], source[inside]
    while len(pixel):
        nearest_depth[pixel] = depth
        nearest[pixel] = source
        nearer = depth < nearest_depth[pixel]
        pixel, depth, source = pixel[nearer], depth[nearer], source[nearer]
