"""Anchors: the points and proportions of a rest body from which the borders of the parts are measured.

They come from the rings where skin weights change from one segment to the next, not from bone heads: the 50 % ring sits
within about 1 cm of the DensePose border on rigs whose bone heads differ by 6 cm. Bone heads serve where there is no ring.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .bones import spoken_segment
from .errors import DensePoseError
from .joints import Joints
from .mesh import box_centre, edges_of, mirrored, ring_points, slab_points
from .orientation import Axes, rough_axes, with_left
from .segments import MIRROR_SEGMENT, SEGMENTS, index_of, strongest

__all__ = ["Anchors", "find_anchors"]

Points = NDArray[np.float64]

# anchor: the segments on either side of its ring; bone from -> to; how far beyond the joint the ring of SMPL-like rigs sits,
# as a fraction of that bone
_RINGS: dict[str, tuple[str, str, str, str, float]] = {
    "shoulder": ("torso", "uarm", "shoulder", "elbow", 0.20),
    "elbow": ("uarm", "farm", "elbow", "wrist", 0.08),
    "wrist": ("farm", "hand", "elbow", "wrist", 0.17),
    "knee": ("thigh", "calf", "knee", "ankle", 0.07),
    "ankle": ("calf", "foot", "knee", "ankle", 0.11),
}
_NECK_SHIFT = 0.05  # of the torso's height, about 3 cm
_SLAB = 0.08  # of the bone's length: half thickness of the slab that stands in for a missing ring
_MIN_RING = 3
_SYMMETRIC = 0.02  # of the body's height: anchors that mirror each other so closely are averaged
_PALM_TURN_DEGREES = 18.0  # from the thumb toward the back of the hand: where "front" lies in a palms-down T-pose
_PALM_TOLERANCE_DEGREES = 35.0  # thumbs this near to forward are the pose the rule was fitted on


@dataclass(frozen=True)
class Anchors:
    """Measures of one rest body, in body coordinates (x to the subject's left, y up, z forward) and the mesh's unit.

    axes: (3, 3), `points @ axes.T` are body coordinates.
    swapped: the body is a mirror image, its segments' sides must be swapped.
    points: "neck" and shoulder_, elbow_, wrist_, hip_, knee_, ankle_ + l or r -> (3,).
    x0: the mid-plane. crotch, sole: heights. hip_width: half width of the hips. hip_z, hip_depth: middle and half extent in z.
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
    finder = _Finder(vertices, edges, segment, joints, swapped)
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
    return np.sum([points[f"{n}_l"] - points[f"{n}_r"] for n in ("shoulder", "knee", "ankle")], axis=0)


class _Finder:
    """Finds the ring anchors of one mesh; in turn by ring, by joint, by the other side, by the nearest ends."""

    def __init__(
        self,
        vertices: Points,
        edges: NDArray[np.int64],
        segment: NDArray[np.int8],
        joints: Joints | None,
        swapped: bool,
    ) -> None:
        self.vertices, self.edges, self.segment = vertices, edges, segment
        self.joints = joints or Joints({})
        self.swapped = swapped
        self.notes: list[str] = []
        self.body = vertices

    def joint(self, name: str, axes: Axes) -> Points | None:
        if self.swapped and name[-2:] in ("_l", "_r"):
            name = name[:-1] + {"l": "r", "r": "l"}[name[-1]]
        position = self.joints.positions.get(name)
        return None if position is None else np.asarray(position, np.float64) @ axes.T

    def find(self, axes: Axes) -> dict[str, Points]:
        self.body, self.notes = self.vertices @ axes.T, []
        found: dict[str, Points | None] = {"neck": self._neck(axes)}
        for name in _RINGS:
            for side in "lr":
                found[f"{name}_{side}"] = self._limb_anchor(name, side, axes)
        self._mirror_missing(found)
        points = {name: point for name, point in found.items() if point is not None}
        height = float(np.ptp(self.body[:, 1]))
        pairs = [(points[f"{n}_l"], points[f"{n}_r"]) for n in _RINGS]
        x0 = float(np.mean([(left[0] + right[0]) / 2 for left, right in pairs]))
        x0 = 0.0 if abs(x0) < 0.01 * height else x0
        if all(np.linalg.norm(left - mirrored(right, x0)) < _SYMMETRIC * height for left, right in pairs):
            for name, (left, right) in zip(_RINGS, pairs, strict=True):
                points[f"{name}_l"] = (left + mirrored(right, x0)) / 2
                points[f"{name}_r"] = mirrored(points[f"{name}_l"], x0)
        return points

    def ring(self, one: str, other: str) -> Points | None:
        points = ring_points(self.body, self.edges, self.segment, index_of(one), index_of(other))
        return box_centre(points) if len(points) >= _MIN_RING else None

    def _limb_anchor(self, name: str, side: str, axes: Axes) -> Points | None:
        near, far, start, end, shift = _RINGS[name]
        near, far = near if near == "torso" else f"{near}_{side}", f"{far}_{side}"
        ring = self.ring(near, far)
        if ring is not None:
            return ring
        joint, first, last = (self.joint(f"{n}_{side}", axes) for n in (name, start, end))
        if joint is None or first is None or last is None:
            return self._between(near, far)
        self.notes.append(f"The {name} ({spoken_segment(far)}) was taken from its bone: the mesh is in separate parts there.")
        centre = self._slab_centre(joint, last - first, near, far)
        return centre + (shift * (last - first) if self.joints.heads_inside else 0.0)

    def _neck(self, axes: Axes) -> Points:
        ring = self.ring("torso", "head")
        if ring is not None:
            return ring
        joint = self.joint("neck", axes)
        if joint is not None:
            self.notes.append("The neck was taken from its bone: head and torso are separate parts.")
            height = float(np.ptp(self.body[self.segment == index_of("torso"), 1]))
            centre = self._slab_centre(joint, np.array([0.0, height / 3, 0.0]), "torso", "head")
            return centre + (np.array([0.0, _NECK_SHIFT * height, 0.0]) if self.joints.heads_inside else 0.0)
        between = self._between("torso", "head")
        if between is not None:
            return between
        self.notes.append("The neck was taken from the top of the torso: no vertex is weighted to the head.")
        torso = self.body[self.segment == index_of("torso")]
        return box_centre(torso[torso[:, 1] > torso[:, 1].max() - 0.03 * np.ptp(torso[:, 1])])

    def _slab_centre(self, joint: Points, bone: Points, near: str, far: str) -> Points:
        """Middle of both segments' vertices within 8 % of the bone's length of the plane through the joint."""
        length = max(float(np.linalg.norm(bone)), 1e-12)
        along = (self.body - joint) @ (bone / length)
        slab = (np.abs(along) < _SLAB * length) & np.isin(self.segment, [index_of(near), index_of(far)])
        slab &= np.linalg.norm(self.body - joint, axis=1) < length
        return box_centre(self.body[slab]) if slab.sum() >= _MIN_RING else joint

    def _between(self, near: str, far: str) -> Points | None:
        """Without ring and joint: half-way between the ends of the two parts that face each other."""
        one, other = self.body[self.segment == index_of(near)], self.body[self.segment == index_of(far)]
        if not len(one) or not len(other):
            return None
        self.notes.append(f"The border of {spoken_segment(near)} and {spoken_segment(far)} was guessed: they share no edge.")
        apart = other.mean(axis=0) - one.mean(axis=0)
        reach_one, reach_other = one @ apart, other @ apart
        end_one = one[reach_one >= np.quantile(reach_one, 0.97)]
        end_other = other[reach_other <= np.quantile(reach_other, 0.03)]
        return (box_centre(end_one) + box_centre(end_other)) / 2

    def _mirror_missing(self, found: dict[str, Points | None]) -> None:
        missing = [name for name, point in found.items() if point is None]
        if not missing:
            return
        mids = [
            (found[f"{n}_l"][0] + found[f"{n}_r"][0]) / 2  # type: ignore[index]
            for n in _RINGS
            if found[f"{n}_l"] is not None and found[f"{n}_r"] is not None
        ]
        x0 = float(np.mean(mids)) if mids else float(found["neck"][0])  # type: ignore[index]
        for name in missing:
            other = found[name[:-1] + {"l": "r", "r": "l"}[name[-1]]]
            if other is not None:
                self.notes.append(f"The {_spoken_anchor(name)} was taken from the other side.")
                found[name] = mirrored(other, x0)
                continue
            found[name] = self._end_of(name)

    def _end_of(self, name: str) -> Points:
        """A limb that stops at this anchor (no hands, no feet on either side): its far end."""
        joint, side = name.split("_")
        near = f"{_RINGS[joint][0]}_{side}"
        before = index_of({"farm": "uarm", "calf": "thigh"}.get(_RINGS[joint][0], _RINGS[joint][0]) + f"_{side}")
        limb = self.body[self.segment == index_of(near)]
        nearer = self.body[self.segment == before]
        if not len(limb) or not len(nearer):
            raise DensePoseError(
                f"The {_spoken_anchor(name)} is nowhere to be found.",
                "Label all meshes of the character together, and check that both sides have weights.",
            )
        self.notes.append(f"The {_spoken_anchor(name)} was taken from the end of the limb.")
        reach = limb @ (limb.mean(axis=0) - nearer.mean(axis=0))
        return box_centre(limb[reach >= np.quantile(reach, 0.97)])


def _spoken_anchor(name: str) -> str:
    joint, side = name.split("_")
    return f"{ {'l': 'left', 'r': 'right'}[side] } {joint}"


def _measured(finder: _Finder, axes: Axes, swapped: bool, points: dict[str, Points], palms: str) -> Anchors:
    body, edges, segment = finder.body, finder.edges, finder.segment
    height = float(np.ptp(body[:, 1]))
    sides = [points[f"{n}_{s}"][0] for n in ("shoulder", "knee", "ankle") for s in "lr"]
    x0 = float(np.mean(sides))
    x0 = 0.0 if abs(x0) < 0.01 * height else x0

    trunk_segments = [index_of(n) for n in ("torso", "thigh_l", "thigh_r")]
    trunk = edges[np.isin(segment[edges], trunk_segments).all(axis=1)]
    torso = edges[(segment[edges] == index_of("torso")).all(axis=1)]
    sole = float(body[segment >= 0, 1].min())
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
        forearm_front=_forearm_fronts(points, lambda name: finder.joint(name, axes), palms),
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


def _forearm_fronts(
    points: dict[str, Points], joint: Callable[[str], Points | None], palms: str
) -> dict[str, Points]:
    """Side -> what is front for a lower arm whose thumb does not point forward: the thumb, turned 18 degrees dorsally."""
    fronts: dict[str, Points] = {}
    if palms == "forward":
        return fronts
    forward = np.array([0.0, 0.0, 1.0])
    for side, sign in (("l", 1), ("r", -1)):
        thumb, wrist = joint(f"thumb_{side}"), joint(f"wrist_{side}")
        if thumb is None or wrist is None:
            continue
        a = points[f"wrist_{side}"] - points[f"elbow_{side}"]
        a = a / max(float(np.linalg.norm(a)), 1e-12)
        f = thumb - wrist
        f = f - a * (f @ a)
        if np.linalg.norm(f) < 1e-9:
            continue
        f /= np.linalg.norm(f)
        angle = np.radians(_PALM_TURN_DEGREES)
        palmward = sign * np.cross(a, f)  # o of the limb frame: down, where the palm is, in a palms-down T-pose
        front = np.cos(angle) * f - np.sin(angle) * palmward
        ahead = forward - a * (forward @ a)
        ahead /= max(float(np.linalg.norm(ahead)), 1e-12)
        if palms == "thumbs" or front @ ahead < np.cos(np.radians(_PALM_TOLERANCE_DEGREES)):
            fronts[side] = front
    return fronts


assert {name.split("_")[0] for name in SEGMENTS} >= {far for _, far, *_ in _RINGS.values()}
