"""Z-buffer of a few small meshes at once (orthographic, pixel centres)."""

import numpy as np
from numpy.typing import NDArray

from inference_server.training.bodies import Array


def visible_triangles(
    points: Array, depth: Array, triangles: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Array]:
    """points (F, V, 2) in pixels, depth (F, V) larger is nearer. Returns frame, pixel, triangle (N,), barycentric (N, 3)."""
    frames, count = depth.shape
    corners = points[:, triangles]  # F, T, 3, 2
    a, b, c = corners[:, :, 0], corners[:, :, 1], corners[:, :, 2]
    area = (b[..., 1] - c[..., 1]) * (a[..., 0] - c[..., 0]) + (c[..., 0] - b[..., 0]) * (a[..., 1] - c[..., 1])
    low = np.clip(np.ceil(corners.min(2) - 0.5).astype(np.int64), 0, size)
    high = np.clip(np.floor(corners.max(2) - 0.5).astype(np.int64), -1, size - 1)
    extent = high - low + 1
    reach = extent.max(-1)
    drawn = (extent > 0).all(-1) & (area < -1e-9)
    pieces = []
    lowest = 1
    for highest in (2, 4, 8, 16, 32, 64, 128):
        f, t = np.nonzero(drawn & (reach >= lowest) & (reach <= highest))
        lowest = highest + 1
        if not len(f):
            continue
        oy, ox = np.mgrid[:highest, :highest].reshape(2, -1)
        X, Y = low[f, t, 0][:, None] + ox, low[f, t, 1][:, None] + oy
        px, py = X + 0.5, Y + 0.5
        A, B, C, D = (v[f, t][:, None] for v in (a, b, c, area))
        w0 = ((B[..., 1] - C[..., 1]) * (px - C[..., 0]) + (C[..., 0] - B[..., 0]) * (py - C[..., 1])) / D
        w1 = ((C[..., 1] - A[..., 1]) * (px - C[..., 0]) + (A[..., 0] - C[..., 0]) * (py - C[..., 1])) / D
        w2 = 1 - w0 - w1
        inside = (w0 >= 0) & (w1 >= 0) & (w2 >= 0) & (X < size) & (Y < size)
        i, _ = np.nonzero(inside)
        bary = np.stack([w0[inside], w1[inside], w2[inside]], 1)
        z = (bary * depth[f[i][:, None], triangles[t[i]]]).sum(1)
        pieces.append((f[i] * size * size + Y[inside] * size + X[inside], t[i], bary, z))
    pixel, triangle, bary, z = (np.concatenate(p) for p in zip(*pieces))
    order = np.argsort(z, kind="stable")
    front = np.full(frames * size * size, -1, np.int64)
    front[pixel[order]] = order
    covered = np.nonzero(front >= 0)[0]
    winner = front[covered]
    return covered // (size * size), covered % (size * size), triangle[winner], bary[winner]
