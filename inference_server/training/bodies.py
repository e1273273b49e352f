"""The skinned bodies that synthetic characters are made of: two CC0 MakeHuman bodies, blended and scaled.

Coordinates are metres in the rest pose (arms in an A): X to the subject's left, Y up, Z forward. Joints are named as in
SMPL-X.
"""

from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

FINGERS = ("thumb", "index", "middle", "ring", "pinky")


def joint_parents() -> dict[str, str | None]:
    """Parent of every SMPL-X joint, parents before children."""
    parents: dict[str, str | None] = {"pelvis": None}
    parents |= {child: parent for parent, child in pairwise(("pelvis", "spine1", "spine2", "spine3", "neck", "head"))}
    parents["jaw"] = "head"
    for side in ("left", "right"):
        chain = ("collar", "shoulder", "elbow", "wrist")
        parents |= {f"{side}_collar": "spine3"} | {f"{side}_{b}": f"{side}_{a}" for a, b in pairwise(chain)}
        chain = ("hip", "knee", "ankle", "foot")
        parents |= {f"{side}_hip": "pelvis"} | {f"{side}_{b}": f"{side}_{a}" for a, b in pairwise(chain)}
        parents[f"{side}_eye_smplhf"] = "head"
        for finger in FINGERS:
            for k in (1, 2, 3):
                parents[f"{side}_{finger}{k}"] = f"{side}_{finger}{k - 1}" if k > 1 else f"{side}_wrist"
    return parents


@dataclass(frozen=True)
class BodyModel:
    """Both bodies on one topology.

    male, female: (V, 3) rest vertices; joints_*: (J, 3); triangles: (T, 3); labels: (T,) DensePose part 1..24;
    weights: (V, J) skin weights, rows sum to 1; joints: the J names.
    """

    male: Array
    female: Array
    joints_male: Array
    joints_female: Array
    triangles: NDArray[np.int64]
    labels: NDArray[np.uint8]
    weights: Array
    joints: tuple[str, ...]

    @property
    def canonical(self) -> Array:
        """(V, 3) rest vertices of the average body: where on the body a surface point lies, whatever its shape."""
        mean = (self.male + self.female) / 2
        return mean - [0, (self.joints_male[0, 1] + self.joints_female[0, 1]) / 2, 0]


@cache
def body_model() -> BodyModel:
    """The bodies shipped with the server (MakeHuman base mesh, CC0, decimated to 3,208 triangles)."""
    path = resources.files("inference_server") / "assets" / "bodies" / "cc0_bodies.npz"
    with path.open("rb") as file:
        data = dict(np.load(file))
    weights = np.zeros((len(data["male"]), len(data["names"])), np.float32)
    np.add.at(weights, (np.arange(len(weights))[:, None], data["bones"]), data["weights"].astype(np.float32))
    return BodyModel(
        male=data["male"].astype(np.float32),
        female=data["female"].astype(np.float32),
        joints_male=data["joints_male"],
        joints_female=data["joints_female"],
        triangles=data["triangles"].astype(np.int64),
        labels=data["labels"],
        weights=weights / weights.sum(1, keepdims=True),
        joints=tuple(map(str, data["names"])),
    )


@dataclass(frozen=True)
class Body:
    """One person's rest body: vertices (V, 3) and joints by name (3,), the pelvis at height 0."""

    vertices: Array
    joints: dict[str, Array]

    @property
    def height(self) -> float:
        return float(np.ptp(self.vertices[:, 1]))


def random_body(rng: np.random.Generator) -> Body:
    """A blend of the two bodies, a little beyond either, with its own width and leg length."""
    model = body_model()
    female = rng.uniform(-0.15, 1.15)
    width, legs = rng.uniform(0.92, 1.14), rng.uniform(0.95, 1.05)
    vertices = model.male * (1 - female) + model.female * female
    joints = model.joints_male * (1 - female) + model.joints_female * female
    pelvis = joints[model.joints.index("pelvis"), 1]
    for points in (vertices, joints):
        points *= np.array([width, 1, width], np.float32)
        points[:, 1] -= pelvis
        points[:, 1] *= np.where(points[:, 1] < 0, legs, 1)
    return Body(vertices.astype(np.float32), dict(zip(model.joints, joints, strict=True)))


def pose(body: Body, rotations: dict[str, Array]) -> Array:
    """Linear blend skinning. `rotations`: joint name -> (F, 3, 3), local; absent joints rest. Returns (F, V, 3)."""
    model = body_model()
    frames = len(next(iter(rotations.values())))
    rest = np.broadcast_to(np.eye(3), (frames, 3, 3))
    turned: dict[str, tuple[Array, Array]] = {}
    transforms = np.zeros((frames, len(model.joints), 3, 4), np.float32)
    for name, parent in joint_parents().items():
        joint = body.joints[name]
        turn, place = rotations.get(name, rest), np.broadcast_to(joint, (frames, 3))
        if parent is not None:
            parent_turn, parent_place = turned[parent]
            place = parent_place + parent_turn @ (joint - body.joints[parent])
            turn = parent_turn @ turn
        turned[name] = turn, place
        index = model.joints.index(name)
        transforms[:, index, :, :3] = turn
        transforms[:, index, :, 3] = place - turn @ joint
    blended = np.tensordot(transforms, model.weights, (1, 1))  # (F, 3, 4, V)
    return np.einsum("fijv,vj->fvi", blended[:, :, :3], body.vertices) + blended[:, :, 3].transpose(0, 2, 1)
