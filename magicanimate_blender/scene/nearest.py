"""The nearest surface, by Blender's own search tree: hundreds of times faster than in numpy."""

from __future__ import annotations

import numpy as np
from mathutils.bvhtree import BVHTree


def nearest_labels(points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Label of the triangle whose surface is nearest to each point: (N, 3) -> (N,) of labels' type."""
    tree = BVHTree.FromPolygons(vertices.tolist(), triangles.tolist(), all_triangles=True)
    return labels[[tree.find_nearest(point)[2] for point in points.tolist()]]
