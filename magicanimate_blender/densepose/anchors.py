"""Anchors: the points and proportions of a rest body from which the borders of the parts are measured.

They come from the rings where skin weights change from one segment to the next, not from bone heads: the 50 % ring
sits within about 1 cm of the DensePose border on rigs whose bone heads differ by 6 cm. Bone heads serve where there is
no ring.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .bones import spoken_segment
from .errors import DensePoseError
from .joints import Joints
from .mesh import box_centre, edges_of, slab_points
from .orientation import Axes, rough_axes, with_left
from .palms import forearm_fronts
from .rings import RingFinder
from .segments import MIRROR_SEGMENT, index_of, strongest

__all__ = ["Anchors", "find_anchors"]

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Anchors:
    """Measures of one rest body, in body coordinates (x to the subject's left, y up, z forward) and the mesh's unit.

    axes: (3, 3), `points @ axes.T` are body coordinates.
    swapped: the body is a mirror image, its segments' sides must be swapped.
    points: "neck" and shoulder_, elbow_, wrist_, hip_, knee_, ankle_ + l or r -> (3,).
    x0: the mid-plane. crotch, sole: heights. hip_width: half width of the hips; hip_z, hip_depth: their middle and half
    extent in z.
    depth: (9, 2) height and z of the line through the torso's middle.
    forearm_front: side -> direction that replaces forward on the lower arm of a turned palm.
    notes: what had to be guessed, for the person to know.
    """

    axes: Axes
    swapped: bool
    points: dict[str, Points]
    x0: float
    crotch: float
    sole: float
    hip_width: float
    hip_z: float
    hip_depth: float
    depth: Points
    forearm_front: dict[str, Points]
    notes: tuple[str, ...] = ()

    @property
    def inseam(self) -> float:
        """Height of the crotch over the soles."""
        return self.crotch - self.sole

    @property
    def torso_height(self) -> float:
        """Height of the neck over the crotch."""
        return float(self.points["neck"][1]) - self.crotch

    def to_body(self, points: ArrayLike) -> Points:
        """Mesh coordinates -> body coordinates, (N, 3)."""
        body: Points = np.asarray(points, np.float64) @ self.axes.T
        return body


def find_anchors(
    vertices: ArrayLike,
    triangles: ArrayLike,
    segment_weights: ArrayLike,
    joints: Joints | None = None,
    *,
    up: ArrayLike | None = None,
    forward: ArrayLike | None = None,
    palms: str = "auto",
) -> Anchors:
    """Measure a rest body: vertices (V, 3) in any unit and orientation, triangles (T, 3), segment_weights (V, 14).

    joints: the rig's, used where two segments share no edge, and for turned palms.
    up, forward: the subject's directions, found from the body where not given.
    palms: "forward" if the thumbs of the rest pose point forward (palms down in a T-pose), "thumbs" to follow the thumb
    joints, "auto" to follow them only where they point elsewhere.
    Raises DensePoseError, naming what is missing.
    """
    vertices = np.asarray(vertices, np.float64)
    triangles = np.asarray(triangles, np.int64)
    segment = strongest(np.asarray(segment_weights, np.float64))
    _require_segments(segment)
    axes, swapped = rough_axes(vertices, segment, up, forward)
    if swapped:
        segment = np.append(MIRROR_SEGMENT, -1)[segment].astype(np.int8)
    edges = edges_of(triangles)
    finder = RingFinder(vertices, edges, segment, joints, swapped)
    points = finder.find(axes)
    if forward is None:
        refined = with_left(_left_of(points) @ axes, axes[1])
        if not np.allclose(refined, axes, atol=1e-9):
            axes, points = refined, finder.find(refined)
    return _measured(finder, axes, swapped, points, palms)


def _require_segments(segment: NDArray[np.int8]) -> None:
    if (segment < 0).all():
        raise DensePoseError(
            "The mesh has no weights for the rig's bones.", "Parent it to the armature with automatic weights."
        )
    for part in ("torso", "uarm", "farm", "thigh", "calf"):
        sides = [part] if part == "torso" else [f"{part}_l", f"{part}_r"]
        if not any((segment == index_of(side)).any() for side in sides):
            name = part if part == "torso" else spoken_segment(sides[0]).removeprefix("left ")
            raise DensePoseError(
                f"No vertex is weighted to the {name}.",
                "Label all meshes of the character together, and check the weights and the names of its bones.",
            )


def _left_of(points: dict[str, Points]) -> Points:
    left: Points = sum((points[f"{n}_l"] - points[f"{n}_r"] for n in ("shoulder", "knee", "ankle")), np.zeros(3))
    return left


def _measured(finder: RingFinder, axes: Axes, swapped: bool, points: dict[str, Points], palms: str) -> Anchors:
    body, edges, segment = finder.body, finder.edges, finder.segment
    height = float(np.ptp(body[:, 1]))
    sides = [points[f"{n}_{s}"][0] for n in ("shoulder", "knee", "ankle") for s in "lr"]
    x0 = float(np.mean(sides))
    x0 = 0.0 if abs(x0) < 0.01 * height else x0

    trunk_segments = [index_of(n) for n in ("torso", "thigh_l", "thigh_r")]
    trunk = edges[np.isin(segment[edges], trunk_segments).all(axis=1)]
    torso = edges[(segment[edges] == index_of("torso")).all(axis=1)]
    sole = float(body[:, 1].min())
    crotch = _crotch(body, trunk, segment, x0, float(np.mean([points["knee_l"][1], points["knee_r"][1]])))
    inseam = crotch - sole

    hips = _slab(body, trunk, crotch, 0.13 * inseam, 0.19 * inseam, "hips")
    hip_width = float(np.abs(hips[:, 0] - x0).max())
    for side, sign in (("l", 1), ("r", -1)):
        leg = edges[np.isin(segment[edges], [index_of("torso"), index_of(f"thigh_{side}")]).all(axis=1)]
        leg = leg[(sign * (body[leg, 0] - x0) >= 0).all(axis=1)]
        points[f"hip_{side}"] = box_centre(_slab(body, leg, crotch, -0.10 * inseam, -0.02 * inseam, "top of the legs"))

    narrow = torso[(np.abs(body[torso, 0] - x0) < 0.9 * hip_width).all(axis=1)]
    top = float(points["neck"][1])
    heights = np.linspace(crotch + 0.1 * inseam, top - 0.02 * inseam, 9)
    rows = [(y, slab_points(body, narrow, y - 0.06 * inseam, y + 0.06 * inseam)) for y in heights]
    depth = np.array([(y, box_centre(slab)[2]) for y, slab in rows if len(slab)])
    if not len(depth) or top <= crotch:
        raise DensePoseError(
            "The torso could not be measured: no surface lies between crotch and neck.",
            "Label all meshes of the character together, in a rest pose between T and A.",
        )
    return Anchors(
        axes=axes,
        swapped=swapped,
        points=points,
        x0=x0,
        crotch=crotch,
        sole=sole,
        hip_width=hip_width,
        hip_z=float(box_centre(hips)[2]),
        hip_depth=max(float(np.ptp(hips[:, 2])) / 2, 1e-12),
        depth=depth,
        forearm_front=forearm_fronts(points, lambda name: finder.joint(name, axes), palms),
        notes=tuple(dict.fromkeys(finder.notes)),
    )


def _slab(body: Points, edges: NDArray[np.int64], base: float, low: float, high: float, name: str) -> Points:
    points = slab_points(body, edges, base + low, base + high)
    if not len(points):
        raise DensePoseError(
            f"The {name} could not be measured: no surface is there.",
            "Label all meshes of the character together, in a rest pose between T and A.",
        )
    return points


def _crotch(body: Points, trunk: NDArray[np.int64], segment: NDArray[np.int8], x0: float, knee: float) -> float:
    """Lowest point above the knees where the mid-plane cuts torso or thighs, other than thighs that reach across it."""
    ends = segment[trunk]
    one_thigh = (ends[:, 0] == ends[:, 1]) & (ends[:, 0] != index_of("torso"))
    cut = trunk[~one_thigh]
    a, b = body[cut[:, 0]], body[cut[:, 1]]
    da, db = a[:, 0] - x0, b[:, 0] - x0
    crossing = (da * db <= 0) & (np.abs(da) + np.abs(db) > 0)
    t = np.where(crossing, da / np.where(crossing, da - db, 1.0), 0.0)
    y = np.where(crossing, a[:, 1] + t * (b[:, 1] - a[:, 1]), np.inf)
    in_plane = (da == 0) & (db == 0)
    y = np.where(in_plane, np.minimum(a[:, 1], b[:, 1]), y)
    y = y[np.isfinite(y) & (y > knee)]
    if not len(y):
        raise DensePoseError(
            "The crotch could not be found: no surface joins the legs.",
            "Label all meshes of the character together, with the one that covers its hips.",
        )
    return float(y.min())
