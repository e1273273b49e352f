"""The z-buffer: triangles -> which one each pixel's centre sees. Vectorised over scanlines, without anti-aliasing.

Every triangle is cut into spans, one per row of pixels, and spans into fragments. A shared edge gives both its
triangles the same end of the span, so surfaces have neither cracks nor double pixels. Both sides of a triangle are
drawn.
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
    """What each pixel sees: triangle index int32 (H, W), -1 for none, and barycentric coordinates float32 (H, W, 3).

    The coordinates are perspective-correct: attribute = sum over the corners of coordinate * the corner's value.
    """
    clip, triangles = _projected(positions, triangles, camera, width, height)
    nearest = _nearest(clip, triangles, width, height)
    barycentric = np.zeros((height * width, 3), np.float32)
    seen = np.flatnonzero(nearest >= 0)
    used, number = np.unique(nearest[seen], return_inverse=True)
    # homogeneous coordinates (x, y, w) of the corners span the pixel's ray, also where a corner is behind the camera
    a, b, c = (clip[triangles[used, k]][:, [0, 1, 3]] for k in range(3))
    x = (seen % width + 0.5) / width * 2 - 1
    y = 1 - (seen // width + 0.5) / height * 2
    shares = []
    for one, other in ((b, c), (c, a), (a, b)):
        plane = np.cross(one, other)
        shares.append(plane[number, 0] * x + plane[number, 1] * y + plane[number, 2])
    total = shares[0] + shares[1] + shares[2]
    total[total == 0] = 1
    for k, share in enumerate(shares):
        barycentric[seen, k] = np.clip(share / total, 0, 1)
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
    clip, triangles, source = _clipped(clip, triangles)
    w = np.where(clip[:, 3] > 0, clip[:, 3], 1)  # corners behind the camera belong to no triangle any more
    x = (clip[:, 0] / w + 1) * (width / 2)
    y = (1 - clip[:, 1] / w) * (height / 2)
    z = clip[:, 2] / w
    # only triangles whose box holds a pixel's centre, the furthest first
    covers = np.ones(len(triangles), bool)
    for axis, size in ((x, width), (y, height)):
        a, b, c = axis[triangles[:, 0]], axis[triangles[:, 1]], axis[triangles[:, 2]]
        low = np.maximum(np.ceil(np.minimum(np.minimum(a, b), c) - 0.5), 0)
        high = np.minimum(np.ceil(np.maximum(np.maximum(a, b), c) - 0.5), size)
        covers &= low < high
    triangles, source = triangles[covers], source[covers]
    order = np.argsort(-z[triangles[:, 0]])
    triangles, source = triangles[order], source[order]
    triangle, column, count, row, depth, slope = _spans(x, y, z, triangles, width, height)

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


def _clipped(clip: Array, triangles: Index) -> tuple[Array, Index, Index]:
    """Cut triangles at the near plane, and leave out those wholly outside one plane of the frustum.

    Returns clip coordinates (with those of new corners at the end), triangles (N, 3), and the one (N,) each came from.
    """
    near = clip[:, 2] + clip[:, 3]  # >= 0 in front of the near plane
    outside = [near < 0, clip[:, 2] > clip[:, 3]]
    outside += [sign * clip[:, axis] > clip[:, 3] for axis in (0, 1) for sign in (1, -1)]
    bits = np.zeros(len(clip), np.uint8)
    for k, plane in enumerate(outside):
        bits |= np.where(plane, np.uint8(1 << k), np.uint8(0))
    a, b, c = (bits[triangles[:, k]] for k in range(3))
    kept = np.flatnonzero((a & b & c) == 0)
    behind = ((a | b | c)[kept] & 1) > 0
    if not behind.any():
        return clip, triangles[kept], kept
    whole, cut = kept[~behind], kept[behind]
    parts, source = [triangles[whole]], [whole]
    front = near[triangles[cut]] >= 0
    for inside_count in (1, 2):
        chosen = front.sum(axis=1) == inside_count
        # turn the corners so that the odd one out comes first
        odd = (front[chosen] == (inside_count == 1)).argmax(axis=1)
        p, q, r = np.take_along_axis(triangles[cut[chosen]], (odd[:, None] + np.arange(3)) % 3, axis=1).T
        pq, pr = len(clip) + np.arange(2 * len(p)).reshape(2, -1)
        clip = np.concatenate([clip, _at_near_plane(clip[p], clip[q]), _at_near_plane(clip[p], clip[r])])
        corners = [(p, pq, pr)] if inside_count == 1 else [(pq, q, r), (pq, r, pr)]
        parts += [np.stack(corner, axis=1) for corner in corners]
        source += [cut[chosen]] * len(corners)
    return clip, np.concatenate(parts), np.concatenate(source)


def _at_near_plane(p: Array, q: Array) -> Array:
    dp, dq = p[:, 2] + p[:, 3], q[:, 2] + q[:, 3]
    point: Array = p + (dp / (dp - dq))[:, None] * (q - p)
    return point


def _spans(
    x: Array, y: Array, z: Array, triangles: Index, width: int, height: int
) -> tuple[Index, Index, Index, Index, Array, Array]:
    """Cut triangles, indices (N, 3) into screen coordinates, into rows of pixels whose centres they cover.

    Returns per span: triangle, first column, number of pixels, row, depth at the first pixel, depth per column.
    """
    x0, x1, x2, y0, y1, y2, z0, z1, z2 = (v[i] for v in (x, y, z) for i in _sorted_by(y, triangles))
    first = np.clip(np.ceil(y0 - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(y2 - 0.5), 0, height).astype(np.int64)
    rows = last - first
    triangle = np.repeat(np.arange(len(rows)), rows)
    row = np.arange(len(triangle)) + np.repeat(first - (np.cumsum(rows) - rows), rows)
    yc = row + 0.5

    # each edge is followed from its upper end, whichever triangle it belongs to: neighbours round alike
    long_slope = (x2 - x0) / _nonzero(y2 - y0)
    short_slope = np.concatenate([(x1 - x0) / _nonzero(y1 - y0), (x2 - x1) / _nonzero(y2 - y1)])
    short = np.where(yc < y1[triangle], triangle, triangle + len(rows))
    one = x0[triangle] + (yc - y0[triangle]) * long_slope[triangle]
    other = np.concatenate([x0, x1])[short] + (yc - np.concatenate([y0, y1])[short]) * short_slope[short]
    left = np.clip(np.ceil(np.minimum(one, other) - 0.5), 0, width).astype(np.int64)
    right = np.clip(np.ceil(np.maximum(one, other) - 0.5), 0, width).astype(np.int64)

    full = np.flatnonzero(right > left)
    triangle, row, left, right = triangle[full], row[full], left[full], right[full]
    area: Array = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    area[area == 0] = np.inf
    per_column = ((z1 - z0) * (y2 - y0) - (z2 - z0) * (y1 - y0)) / area
    per_row = ((x1 - x0) * (z2 - z0) - (x2 - x0) * (z1 - z0)) / area
    at_origin = z0 - (x0 - 0.5) * per_column - (y0 - 0.5) * per_row
    slope = per_column[triangle]
    depth = at_origin[triangle] + left * slope + row * per_row[triangle]
    return triangle, left, right - left, row, depth, slope


def _sorted_by(y: Array, triangles: Index) -> tuple[Index, Index, Index]:
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    a, b = np.where(y[a] <= y[b], (a, b), (b, a))
    b, c = np.where(y[b] <= y[c], (b, c), (c, b))
    a, b = np.where(y[a] <= y[b], (a, b), (b, a))
    return a, b, c


def _nonzero(v: Array) -> Array:
    return np.where(v == 0, 1.0, v)


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
