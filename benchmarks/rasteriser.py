"""Median time to draw a part map: `python -m benchmarks.rasteriser` prints JSON (milliseconds per frame)."""

from __future__ import annotations

import json
import platform
import statistics
import time

import numpy as np

from magicanimate_blender.raster.camera import Camera
from magicanimate_blender.raster.png import encode_labels
from magicanimate_blender.raster.zbuffer import rasterise, visible_triangles

REPEATS = 15


def figure(triangle_count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Head, trunk and limbs as ellipsoids, about as large in the frame as a person, with so many triangles in all."""
    parts = [((0, 0, 0), (0.25, 0.16, 0.55)), ((0, 0, 0.75), (0.13, 0.13, 0.18))]
    parts += [((s * 0.45, 0.1, 0.3), (0.35, 0.07, 0.07)) for s in (1, -1)]
    parts += [((s * 0.14, 0, -0.75), (0.10, 0.10, 0.5)) for s in (1, -1)]
    rows = max(4, round((triangle_count / len(parts) / 4) ** 0.5))
    u, v = np.meshgrid(np.linspace(0, np.pi, rows + 1), np.linspace(0, 2 * np.pi, 2 * rows + 1), indexing="ij")
    sphere = np.stack([np.sin(u) * np.cos(v), np.sin(u) * np.sin(v), np.cos(u)], axis=-1).reshape(-1, 3)
    i = np.arange(len(sphere)).reshape(u.shape)
    quads = np.stack([i[:-1, :-1], i[1:, :-1], i[1:, 1:], i[:-1, 1:]], axis=-1).reshape(-1, 4)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    vertices = np.concatenate([np.array(c) + sphere * np.array(r) for c, r in parts])
    triangles = np.concatenate([faces + k * len(sphere) for k in range(len(parts))])
    return vertices, triangles, np.repeat(np.arange(1, 1 + len(parts)), len(faces)).astype(np.uint8)


def median_ms(call: object, *arguments: object) -> float:
    """Median of REPEATS calls after one to warm up."""
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        call(*arguments)  # type: ignore[operator]
        times.append(1000 * (time.perf_counter() - start))
    return round(statistics.median(times[1:]), 1)


def main() -> None:
    """Print the table."""
    looking_along_y = np.array([[1, 0, 0, 0], [0, 0, -1, -2.6], [0, 1, 0, -0.1], [0, 0, 0, 1]], float)
    results = {"machine": platform.machine(), "numpy": np.__version__, "repeats": REPEATS}
    for size in (512, 768):
        camera = Camera.from_blender(looking_along_y, width=size, height=size)
        for count in (5_000, 20_000, 200_000):
            vertices, triangles, labels = figure(count)
            key = f"{len(triangles)} triangles at {size}"
            picture = rasterise(vertices, triangles, labels, camera, size, size)
            results[key] = {
                "rasterise_ms": median_ms(rasterise, vertices, triangles, labels, camera, size, size),
                "visible_triangles_ms": median_ms(visible_triangles, vertices, triangles, camera, size, size),
                "encode_labels_ms": median_ms(encode_labels, picture),
                "png_bytes": len(encode_labels(picture)),
                "covered_percent": round(100 * float((picture > 0).mean()), 1),
            }
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
