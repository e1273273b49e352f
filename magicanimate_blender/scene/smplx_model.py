"""A user's SMPL-X model file (SMPLX_*.npz, never shipped with the add-on) as an armature with a mesh and shape keys.

Shape, expression and pose correctives are the model's own (Pavlakos et al., 2019): with them the mesh is the model's to
a tenth of a millimetre. Correctives are shape keys that follow the bones by drivers, so that they live while posing.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

from .errors import SceneError
from .rigging import add_skinned_mesh, add_smplx_armature, edit_mode, make_active
from .skeleton import SMPLX_JOINTS

_SHAPE_SPACE, _EXPRESSION_SPACE = 300, 100  # of the full files; the small ones have 10 of each
_SMALL = 10
_JOINTS_PROPERTY, _JOINT_SHAPES_PROPERTY = "smplx_joints", "smplx_joint_shapes"
HANDS_PROPERTY = "smplx_hands_mean"

# Entries of a rotation matrix less the identity, by the quaternion (w, x, y, z): row, column -> driver expression.
_ROTATION = {
    (0, 0): "-2*(y*y+z*z)",
    (0, 1): "2*(x*y-w*z)",
    (0, 2): "2*(x*z+w*y)",
    (1, 0): "2*(x*y+w*z)",
    (1, 1): "-2*(x*x+z*z)",
    (1, 2): "2*(y*z-w*x)",
    (2, 0): "2*(x*z-w*y)",
    (2, 1): "2*(y*z+w*x)",
    (2, 2): "-2*(x*x+y*y)",
}


@dataclass(frozen=True)
class SmplxModel:
    """The arrays of a model file, turned Z up and facing -Y. V vertices, 55 joints.

    template (V, 3) metres; faces (F, 3); weights (V, 55); joint_regressor (55, V); shapes (V, 3, betas), expressions
    (V, 3, E); correctives (V, 3, 54, 9) as in the file, not turned: offset for each entry of each joint's rotation
    matrix less the identity; hands_mean (90,) the relaxed hands as axis-angle, or empty.
    """

    template: np.ndarray
    faces: np.ndarray
    weights: np.ndarray
    joint_regressor: np.ndarray
    shapes: np.ndarray
    expressions: np.ndarray
    correctives: np.ndarray
    hands_mean: np.ndarray


def z_up(vectors: np.ndarray, axis: int = -1) -> np.ndarray:
    """Turn vectors along an axis of length 3 from Y up, facing +Z, to Z up, facing -Y."""
    x, y, z = np.moveaxis(np.asarray(vectors), axis, 0)
    return np.stack([x, -z, y], axis)


def read_smplx_model(path: Path, betas: int = 10, expressions: int = 10) -> SmplxModel:
    """Read an SMPLX_*.npz with its first `betas` shapes and `expressions`; fewer where the file has fewer.

    Raises SceneError if it is no such file. Pickled entries are never loaded.
    """
    arrays = _read(path, ("v_template", "f", "weights", "J_regressor", "shapedirs", "posedirs", "kintree_table"))
    template, weights = arrays["v_template"].astype(np.float64), arrays["weights"].astype(np.float64)
    vertices, joints = len(template), len(SMPLX_JOINTS)
    shapedirs = arrays["shapedirs"].reshape(vertices, 3, -1).astype(np.float64)
    if weights.shape != (vertices, joints) or arrays["posedirs"].size != vertices * 3 * (joints - 1) * 9:
        raise SceneError(
            f"“{path.name}” is not an SMPL-X model: it has weights for {weights.shape[-1]} joints, not {joints}.",
            "Choose a file SMPLX_NEUTRAL.npz, SMPLX_FEMALE.npz or SMPLX_MALE.npz (not SMPL or SMPL+H).",
        )
    full = shapedirs.shape[-1] >= _SHAPE_SPACE + _EXPRESSION_SPACE
    first_expression = _SHAPE_SPACE if full else _SMALL
    expression_end = first_expression + min(expressions, _EXPRESSION_SPACE if full else _SMALL)
    hands = [arrays[name].ravel() for name in ("hands_meanl", "hands_meanr") if name in arrays]
    return SmplxModel(
        template=z_up(template),
        faces=arrays["f"].astype(np.int32),
        weights=weights,
        joint_regressor=arrays["J_regressor"].astype(np.float64),
        shapes=z_up(shapedirs[:, :, : min(betas, first_expression)], axis=1),
        expressions=z_up(shapedirs[:, :, first_expression:expression_end], axis=1),
        correctives=arrays["posedirs"].reshape(vertices, 3, joints - 1, 9),
        hands_mean=np.concatenate(hands) if len(hands) == 2 else np.zeros(0),
    )


def import_smplx_model(
    scene: bpy.types.Scene, path: str | Path, betas: int = 10, expressions: int = 10, correctives: bool = True
) -> bpy.types.Object:
    """Add the model of an SMPLX_*.npz to the scene: armature and mesh in T-pose, Z up; returns the armature.

    Shape keys "Shape000" ... and "Exp000" ... hold betas and expressions (set them by set_smplx_shape, which moves the
    joints too). correctives: 486 driven shape keys that correct the mesh for the pose. Raises SceneError.
    """
    path = Path(path)
    model = read_smplx_model(path, betas, expressions)
    joints = model.joint_regressor @ model.template
    armature = add_smplx_armature(scene, path.stem, joints, connected=False)
    groups = {}
    for number, name in enumerate(SMPLX_JOINTS):
        used = np.flatnonzero(model.weights[:, number] > 0)
        groups[name] = (used, model.weights[used, number])
    body = add_skinned_mesh(armature, f"{path.stem} Body", model.template, model.faces, groups)
    body.shape_key_add(name="Basis")
    for prefix, offsets in (("Shape", model.shapes), ("Exp", model.expressions)):
        for number in range(offsets.shape[-1]):
            _add_key(body, f"{prefix}{number:03}", model.template + offsets[..., number], limit=10)
    shapes = np.concatenate([model.shapes, model.expressions], -1)
    armature.data[_JOINTS_PROPERTY] = joints.ravel().tolist()
    armature.data[_JOINT_SHAPES_PROPERTY] = np.einsum("jv,vks->jks", model.joint_regressor, shapes).ravel().tolist()
    if model.hands_mean.size:
        armature.data[HANDS_PROPERTY] = model.hands_mean.tolist()
    if correctives:
        _add_correctives(armature, body, model)
    make_active(scene, armature)
    return armature


def set_smplx_shape(
    scene: bpy.types.Scene, armature: bpy.types.Object, betas: Sequence[float] = (), expression: Sequence[float] = ()
) -> None:
    """Give an imported model a shape and a face: sets the shape keys and moves the joints to where the shape has them.

    Values beyond the imported keys are left out, missing ones are 0. Raises SceneError for any other armature.
    """
    joints, moves = armature.data.get(_JOINTS_PROPERTY), armature.data.get(_JOINT_SHAPES_PROPERTY)
    body = next((o for o in armature.children if o.type == "MESH" and o.data.shape_keys), None)
    if joints is None or moves is None or body is None:
        raise SceneError(f"“{armature.name}” was not imported from an SMPL-X model file.", "Import SMPLX_*.npz first.")
    keys = body.data.shape_keys.key_blocks
    coefficients = []
    for prefix, values in (("Shape", betas), ("Exp", expression)):
        for number, name in enumerate(name for name in keys.keys() if name.startswith(prefix)):  # noqa: SIM118
            keys[name].value = values[number] if number < len(values) else 0.0
            coefficients.append(keys[name].value)
    shapes = np.array(moves[:]).reshape(len(SMPLX_JOINTS), 3, -1)
    heads = np.array(joints[:]).reshape(-1, 3) + shapes @ np.array(coefficients)
    with edit_mode(scene, armature):
        for name, head in zip(SMPLX_JOINTS, heads.tolist(), strict=True):
            bone = armature.data.edit_bones[name]
            # Moved, not turned: correctives are in the bone's own axes.
            bone.head, bone.tail = head, bone.tail + (Vector(head) - bone.head)


def _read(path: Path, needed: Sequence[str]) -> dict[str, np.ndarray]:
    optional = ("hands_meanl", "hands_meanr")
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in needed if name not in file.files]
            if not missing:
                return {name: file[name] for name in (*needed, *optional) if name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise SceneError(
            f"“{path.name}” cannot be read as a model file: {error}.", "Choose the .npz version of the SMPL-X model."
        ) from error
    raise SceneError(
        f"“{path.name}” is not an SMPL-X model: it has no “{missing[0]}”.",
        "Choose SMPLX_NEUTRAL.npz, SMPLX_FEMALE.npz or SMPLX_MALE.npz from smpl-x.is.tue.mpg.de.",
    )


def _add_key(body: bpy.types.Object, name: str, positions: np.ndarray, limit: float) -> bpy.types.ShapeKey:
    key = body.shape_key_add(name=name, from_mix=False)
    key.data.foreach_set("co", np.ascontiguousarray(positions, np.float32).ravel())
    key.slider_min, key.slider_max = -limit, limit
    return key


def _add_correctives(armature: bpy.types.Object, body: bpy.types.Object, model: SmplxModel) -> None:
    for number, joint in enumerate(SMPLX_JOINTS[1:]):
        axes = np.array(armature.data.bones[joint].matrix_local.to_3x3(), np.float64)
        # The model rotates about its own axes, the bone about its: R = B Q B^T, so that the nine offsets mix.
        basis = z_up(np.eye(3)) @ axes
        offsets_of = z_up(model.correctives[:, :, number] @ np.kron(basis, basis), axis=1)
        for (row, column), expression in _ROTATION.items():
            offsets = offsets_of[..., 3 * row + column]
            if np.abs(offsets).max() < 1e-7:
                continue
            key = _add_key(body, f"Pose {joint} {row}{column}", model.template + offsets, limit=2)
            driver = key.driver_add("value").driver
            driver.type, driver.expression = "SCRIPTED", expression
            for letter in sorted(set("wxyz") & set(expression)):
                variable = driver.variables.new()
                variable.name, variable.type = letter, "TRANSFORMS"
                target = variable.targets[0]
                target.id, target.bone_target = armature, joint
                target.transform_type = f"ROT_{letter.upper()}"
                target.rotation_mode, target.transform_space = "QUATERNION", "LOCAL_SPACE"
