"""Cut faces along the borders of the labels, so that coarse meshes show smooth borders instead of teeth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .anchors import Anchors
from .mesh import edges_of
from .rule import Labels, Points, checked_mesh, label_faces, label_points
from .segments import strongest

__all__ = ["Subdivision", "subdivide_borders"]

Index = NDArray[np.int64]
_BISECTIONS = 6  # find a border on an edge to 1/64 of its length
_MARGIN = 0.03  # of the edge: borders this near to a vertex run through it


@dataclass(frozen=True)
class Subdivision:
    """A mesh cut along borders. New vertices are mixtures of the old, so that they follow any pose or shape key.

    parents (N, 3), weights (N, 3): each new vertex is the weighted sum of three old ones.
    triangles (T, 3): into the old vertices followed by the new. labels: uint8 (T,). source (T,): the old triangle of
    each.
    """

    parents: Index
    weights: Points
    triangles: Index
    labels: Labels
    source: Index

    def positions(self, vertices: ArrayLike) -> Points:
        """Values at the old vertices, (V, K) -> at old and new ones, (V + N, K); K = 3 for positions of any frame."""
        vertices = np.asarray(vertices, np.float64)
        return np.concatenate([vertices, (vertices[self.parents] * self.weights[..., None]).sum(axis=1)])


def subdivide_borders(
    vertices: ArrayLike, triangles: ArrayLike, segment_weights: ArrayLike, anchors: Anchors, *, levels: int = 1
) -> Subdivision:
    """Cut every edge whose ends differ in label where the border crosses it, and its triangles with it.

    Rest vertices (V, 3), triangles (T, 3), segment_weights (V, 14), the anchors of the body. One level makes borders
    straight within each face, a second follows the places where three parts meet. Neighbours stay joined.
    Raises DensePoseError for broken meshes.
    """
    vertices, triangles, segment_weights = checked_mesh(vertices, triangles, segment_weights)
    base = label_faces(vertices, triangles, segment_weights, anchors=anchors)
    unweighted = segment_weights.max(axis=1) <= 0
    loose = unweighted[triangles].any(axis=1)  # their labels came from the nearest face: nothing to cut by

    source = np.arange(len(triangles))
    corners = np.broadcast_to(np.eye(3), (len(triangles), 3, 3)).copy()  # each corner's mixture of the source's corners
    parents, weights = np.zeros((0, 3), np.int64), np.zeros((0, 3))
    current = triangles
    for _ in range(levels):
        mesh = Subdivision(parents, weights, current, base, source)
        points, skin = mesh.positions(vertices), mesh.positions(segment_weights)
        edges, t = _cuts(points, skin, edges_of(current), anchors)
        cut_of = _cut_per_side(edges, current, len(points))
        # a cut lies in any one of its triangles: the first gives its mixture
        flat = cut_of.ravel()
        sides = np.flatnonzero(flat >= 0)
        cuts, first = np.unique(flat[sides], return_index=True)
        face, side = np.divmod(sides[first], 3)
        start, end = corners[face, side], corners[face, (side + 1) % 3]
        forward = current[face, side] == edges[cuts, 0]
        share = np.where(forward, t[cuts], 1 - t[cuts])[:, None]
        mixture = (1 - share) * start + share * end
        numbers = np.where(cut_of >= 0, cut_of + len(points), -1)
        parents = np.concatenate([parents, triangles[source[face]]])
        weights = np.concatenate([weights, mixture])
        current, corners, source = _split(current, corners, source, numbers, t, edges)
    mesh = Subdivision(parents, weights, current, base, source)
    points, skin = mesh.positions(vertices), mesh.positions(segment_weights)
    labels = label_points(points[current].mean(axis=1), strongest(skin[current].mean(axis=1)), anchors)
    whole = np.bincount(source, minlength=len(triangles))[source] == 1
    keep = loose[source] | whole
    labels[keep] = base[source[keep]]
    return Subdivision(parents, weights, current, labels, source)


def _cuts(points: Points, skin: Points, edges: Index, anchors: Anchors) -> tuple[Index, Points]:
    """Edges crossed by a border, and where: 0 at the first end, 1 at the second."""
    known = skin.max(axis=1) > 0
    label = label_points(points, strongest(skin), anchors)
    edges = edges[(label[edges[:, 0]] != label[edges[:, 1]]) & known[edges].all(axis=1)]
    a, b = edges.T
    low, high = np.zeros(len(edges)), np.ones(len(edges))
    for _ in range(_BISECTIONS):
        t = (low + high) / 2
        here = label_points(
            points[a] + t[:, None] * (points[b] - points[a]),
            strongest(skin[a] + t[:, None] * (skin[b] - skin[a])),
            anchors,
        )
        same = here == label[a]
        low, high = np.where(same, t, low), np.where(same, high, t)
    t = (low + high) / 2
    inner = (t > _MARGIN) & (t < 1 - _MARGIN)
    return edges[inner], t[inner]


def _cut_per_side(edges: Index, triangles: Index, vertex_count: int) -> Index:
    """For every side (corner k to k+1) of every triangle the number of its cut, or -1: (T, 3)."""
    codes = edges[:, 0] * vertex_count + edges[:, 1]  # sorted, as edges_of gives them
    sides = np.sort(np.stack([triangles, np.roll(triangles, -1, axis=1)], axis=2), axis=2)
    wanted = sides[..., 0] * vertex_count + sides[..., 1]
    if not len(codes):
        return np.full(triangles.shape, -1, np.int64)
    at = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
    return np.where(codes[at] == wanted, at, -1)


def _split(
    triangles: Index, corners: Points, source: Index, numbers: Index, t: Points, edges: Index
) -> tuple[Index, Points, Index]:
    """Replace triangles by the pieces between their cuts: one cut makes two, two make three, three make four."""
    count = (numbers >= 0).sum(axis=1)
    whole = count == 0
    pieces, mixtures, sources = [triangles[whole]], [corners[whole]], [source[whole]]
    base = numbers.max(initial=0) - len(t) + 1
    # turned so that the cut sides come first: side 0; sides 0 and 1; all. The pieces in the six corners 0-2 and cuts
    # 3-5
    layouts = {
        1: [(0, 3, 2), (3, 1, 2)],
        2: [(3, 1, 4), (0, 3, 4), (0, 4, 2)],
        3: [(0, 3, 5), (3, 1, 4), (5, 4, 2), (3, 4, 5)],
    }
    for cuts, layout in layouts.items():
        rows = np.flatnonzero(count == cuts)
        if not len(rows):
            continue
        is_cut = numbers[rows] >= 0
        first = {1: is_cut.argmax(axis=1), 2: ((~is_cut).argmax(axis=1) + 1) % 3, 3: np.zeros(len(rows), np.int64)}[
            cuts
        ]
        turn = (first[:, None] + np.arange(3)) % 3
        tri = np.take_along_axis(triangles[rows], turn, axis=1)
        new = np.take_along_axis(numbers[rows], turn, axis=1)
        mix = np.take_along_axis(corners[rows], turn[..., None], axis=1)
        number = np.maximum(new - base, 0)
        share = np.where(edges[number, 0] == tri, t[number], 1 - t[number])[..., None]
        cut_mix = (1 - share) * mix + share * np.roll(mix, -1, axis=1)
        points, all_mix = np.concatenate([tri, new], axis=1), np.concatenate([mix, cut_mix], axis=1)
        for piece in layout:
            pieces.append(points[:, piece])
            mixtures.append(all_mix[:, piece])
            sources.append(source[rows])
    return np.concatenate(pieces), np.concatenate(mixtures), np.concatenate(sources)
