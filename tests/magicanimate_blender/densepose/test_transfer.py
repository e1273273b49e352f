import numpy as np
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from magicanimate_blender.densepose.mesh import triangle_areas
from magicanimate_blender.densepose.rule import label_faces
from magicanimate_blender.densepose.transfer import nearest_triangles, transfer_labels


def test_areas_are_trimeshs(rest):
    mesh = trimesh.Trimesh(rest.vertices, rest.triangles, process=False)
    assert np.allclose(triangle_areas(rest.vertices, rest.triangles), mesh.area_faces, rtol=1e-9)


def distances(points, mesh, nearest):
    corners = mesh.triangles[nearest]
    return np.linalg.norm(trimesh.triangles.closest_point(corners, points) - points, axis=1)


def test_clothes_take_the_label_that_trimesh_finds(rest, weights):
    """Points of a wide shell over the body, without weights."""
    labels = label_faces(rest.vertices, rest.triangles, weights)
    mesh = trimesh.Trimesh(rest.vertices, rest.triangles, process=False)
    shell = (mesh.vertices + 0.03 * mesh.vertex_normals)[rest.triangles].mean(axis=1)[::500]
    every = np.stack(
        [distances(np.broadcast_to(point, (len(labels), 3)), mesh, slice(None)) for point in shell]
    )  # (N, T)
    nearest = nearest_triangles(shell, rest.vertices, rest.triangles)
    ours = np.take_along_axis(every, nearest[:, None], axis=1)[:, 0]
    assert np.allclose(ours, every.min(axis=1), atol=1e-9)
    found = transfer_labels(shell, rest.vertices, rest.triangles, labels)
    assert (found == labels[every.argmin(axis=1)]).mean() > 0.9  # points as near to two parts may take either


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([0.01, 1.0, 50.0]))
def test_nearest_is_nearest_for_any_soup(seed, spread):
    """Slivers and triangles without area included."""
    generator = np.random.default_rng(seed)
    vertices = generator.normal(0, 1, (30, 3))
    triangles = generator.integers(0, 30, (40, 3))
    points = generator.normal(0, spread, (150, 3))
    mesh = trimesh.Trimesh(vertices, triangles, process=False, validate=False)
    nearest = nearest_triangles(points, vertices, triangles)
    every = np.stack([distances(points, mesh, np.full(len(points), t)) for t in solid(vertices, triangles)])
    ours = exact_distance(points, vertices[triangles[nearest]])
    assert (ours <= every.min(axis=0) + 1e-9).all()


def solid(vertices, triangles):
    return np.flatnonzero(triangle_areas(vertices, triangles) > 1e-9)


def exact_distance(points, corners):
    """By dense search over each triangle's own closest point, also for triangles without area."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    best = np.full(len(points), np.inf)
    for start, end in ((a, b), (b, c), (c, a)):
        along = end - start
        t = ((points - start) * along).sum(1) / np.maximum((along**2).sum(1), 1e-300)
        best = np.minimum(best, np.linalg.norm(points - start - np.clip(t, 0, 1)[:, None] * along, axis=1))
    flat = triangle_areas(corners.reshape(-1, 3), np.arange(3 * len(corners)).reshape(-1, 3)) > 1e-9
    inner = np.full(len(points), np.inf)
    closest = trimesh.triangles.closest_point(corners[flat], points[flat])
    inner[flat] = np.linalg.norm(closest - points[flat], axis=1)
    return np.minimum(best, inner)
