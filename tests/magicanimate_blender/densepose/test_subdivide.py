import numpy as np
import pytest
import trimesh

from magicanimate_blender.densepose.mesh import triangle_areas
from magicanimate_blender.densepose.rule import label_faces
from magicanimate_blender.densepose.subdivide import subdivide_borders
from tools.cc0_bodies import pose_arms


@pytest.fixture(scope="module", params=[1, 2])
def cut(request, rest, weights, anchors):
    return subdivide_borders(rest.vertices, rest.triangles, weights, anchors, levels=request.param)


def test_the_surface_stays_and_stays_closed(rest, cut):
    mesh = trimesh.Trimesh(cut.positions(rest.vertices), cut.triangles, process=False)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    whole = trimesh.Trimesh(rest.vertices, rest.triangles, process=False)
    assert mesh.area == pytest.approx(whole.area, rel=1e-9)
    assert mesh.volume == pytest.approx(whole.volume, rel=1e-9)


def test_every_piece_lies_in_its_source(rest, cut):
    pieces = triangle_areas(cut.positions(rest.vertices), cut.triangles)
    sources = triangle_areas(rest.vertices, rest.triangles)
    assert np.allclose(np.bincount(cut.source, pieces), sources, rtol=1e-6, atol=1e-12)
    assert np.allclose(cut.weights.sum(axis=1), 1)
    assert cut.weights.min() >= 0


def test_new_vertices_follow_a_pose(rest, cut):
    posed = pose_arms(rest, 10)
    mesh = trimesh.Trimesh(cut.positions(posed.vertices), cut.triangles, process=False)
    assert mesh.area == pytest.approx(trimesh.Trimesh(posed.vertices, posed.triangles, process=False).area, rel=1e-6)


def border_length(vertices, triangles, labels):
    mesh = trimesh.Trimesh(vertices, triangles, process=False)
    one, other = mesh.face_adjacency.T
    edges = mesh.face_adjacency_edges[labels[one] != labels[other]]
    return np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1).sum()


def test_borders_lose_their_teeth(rest, weights, cut):
    """Teeth make a border longer: cut borders are at least a tenth shorter."""
    labels = label_faces(rest.vertices, rest.triangles, weights)
    before = border_length(rest.vertices, rest.triangles, labels)
    assert border_length(cut.positions(rest.vertices), cut.triangles, cut.labels) < 0.9 * before


def test_only_faces_at_borders_are_cut(rest, cut):
    assert 1.03 < len(cut.triangles) / len(rest.triangles) < 1.3


def test_unweighted_faces_are_left_whole(rest, weights, anchors):
    bald = weights.copy()
    bald[rest.vertices[:, 1] > rest.vertices[:, 1].max() - 0.05] = 0
    cut = subdivide_borders(rest.vertices, rest.triangles, bald, anchors)
    loose = (bald[rest.triangles].max(axis=2) <= 0).all(axis=1)
    assert loose.any()
    assert (np.bincount(cut.source)[loose] == 1).all()
    assert cut.labels.min() >= 1
