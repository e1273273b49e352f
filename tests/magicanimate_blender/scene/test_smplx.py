"""SMPL-X files against the `smplx` package, with a model file of the same format made from the CC0 body."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest

from magicanimate_blender.scene.characters import find_characters
from magicanimate_blender.scene.context import depsgraph_of
from magicanimate_blender.scene.errors import SceneError
from magicanimate_blender.scene.labels import label_character
from magicanimate_blender.scene.sample_character import _BODY, add_sample_character
from magicanimate_blender.scene.skeleton import SMPLX_JOINTS, SMPLX_PARENTS
from magicanimate_blender.scene.smplx_model import import_smplx_model, set_smplx_shape
from magicanimate_blender.scene.smplx_motion import import_smplx_motion, read_smplx_motion, resample

BETAS, EXPRESSIONS = 4, 3  # taken of the file's ten and ten: enough to tell them apart, quick to import


def y_up(points: np.ndarray) -> np.ndarray:
    return np.stack([points[:, 0], points[:, 2], -points[:, 1]], 1)


@pytest.fixture(scope="session")
def model_file(tmp_path_factory) -> Path:
    """The sample body, arms raised to a T, as SMPLX_NEUTRAL.npz would hold it; shapes and correctives are invented."""
    rng = np.random.default_rng(7)
    with np.load(_BODY) as body:
        vertices = y_up(body["vertices_male"].astype(np.float64) / int(body["steps_per_metre"]))
        joints, quads = y_up(body["joints_male"].astype(np.float64)), body["quads"].astype(np.int64)
        weights = np.zeros((len(vertices), 55))
        np.add.at(weights, (np.arange(len(vertices))[:, None], body["weight_joints"]), body["weights"].astype(float))
    weights /= weights.sum(1, keepdims=True)
    vertices, joints = arms_raised(vertices, joints, weights)
    vertices, joints = vertices - joints[0], joints - joints[0]
    # each joint as a mixture of 40 vertices near it that gives it exactly, as a regressor would
    regressor = np.zeros((55, len(vertices)))
    for number, joint in enumerate(joints):
        near = np.argsort(((vertices - joint) ** 2).sum(1))[:40]
        system = np.concatenate([vertices[near].T, np.ones((1, 40))])
        regressor[number, near] = np.linalg.lstsq(system, np.append(joint, 1), rcond=None)[0]
    waves = np.stack([np.sin(vertices @ rng.normal(size=(3, 20)) * 3 + axis) for axis in range(3)], 1)
    arrays = {
        "v_template": vertices,
        "f": np.concatenate([quads[:, :3], quads[:, [0, 2, 3]]]).astype(np.uint32),
        "weights": weights,
        "J_regressor": regressor,
        "shapedirs": 0.01 * waves,
        "posedirs": (0.004 * rng.normal(size=(len(vertices), 3, 486)) * (rng.random(486) < 0.2)).astype(np.float32),
        "kintree_table": np.array(
            [[-1 if p is None else SMPLX_JOINTS.index(p) for p in SMPLX_PARENTS.values()], range(55)]
        ),
        "hands_componentsl": np.eye(45),
        "hands_componentsr": np.eye(45),
        "hands_meanl": 0.1 * rng.normal(size=45),
        "hands_meanr": 0.1 * rng.normal(size=45),
        "lmk_faces_idx": np.zeros(51, np.int64),
        "lmk_bary_coords": np.full((51, 3), 1 / 3),
        "joint2num": np.array({"pelvis": 0}, dtype=object),  # the real files hold pickled entries too
    }
    path = tmp_path_factory.mktemp("smplx") / "SMPLX_NEUTRAL.npz"
    np.savez(path, **arrays)
    return path


def arms_raised(vertices, joints, weights):
    """Linear blend skinning that turns the upper arms up to a T-pose."""
    vertices, joints = vertices.copy(), joints.copy()
    for side, sign in (("left", 1), ("right", -1)):
        first = SMPLX_JOINTS.index(f"{side}_shoulder")
        chain = [first]
        for number, parent in enumerate(SMPLX_PARENTS.values()):
            if parent is not None and SMPLX_JOINTS.index(parent) in chain:
                chain.append(number)
        arm = joints[SMPLX_JOINTS.index(f"{side}_elbow")] - joints[first]
        angle = -np.arctan2(arm[1], abs(arm[0])) * sign
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        pivot, share = joints[first].copy(), weights[:, chain].sum(1, keepdims=True)
        vertices += share * ((vertices - pivot) @ turn.T + pivot - vertices)
        joints[chain] = (joints[chain] - pivot) @ turn.T + pivot
    return vertices, joints


def reference(model_file: Path, poses: np.ndarray, translation: np.ndarray, betas, expression) -> np.ndarray:
    """(N, V, 3) by the smplx package, in its own axes. poses (N, 165)."""
    smplx, torch = pytest.importorskip("smplx"), pytest.importorskip("torch")
    count = len(poses)
    model = smplx.SMPLX(
        str(model_file), num_betas=10, num_expression_coeffs=10, use_pca=False, flat_hand_mean=True,
        batch_size=count, dtype=torch.float64,
    )  # fmt: skip
    parts = np.split(poses, [3, 66, 69, 72, 75, 120], axis=1)
    names = ("global_orient", "body_pose", "jaw_pose", "leye_pose", "reye_pose", "left_hand_pose", "right_hand_pose")
    with torch.no_grad():
        out = model(
            betas=torch.tensor(np.repeat([np.pad(betas, (0, 10 - BETAS))], count, 0)),
            expression=torch.tensor(np.repeat([np.pad(expression, (0, 10 - EXPRESSIONS))], count, 0)),
            transl=torch.tensor(translation),
            **{name: torch.tensor(part) for name, part in zip(names, parts, strict=True)},
        )
    return out.vertices.numpy()


def evaluated(scene, armature, frame: int) -> np.ndarray:
    scene.frame_set(frame)
    mesh = armature.children[0].evaluated_get(depsgraph_of(scene)).data
    positions = np.empty((len(mesh.vertices), 3), np.float32)
    mesh.vertices.foreach_get("co", positions.ravel())
    return positions


def z_up(points: np.ndarray) -> np.ndarray:
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], -1)


@pytest.mark.parametrize("up", ["Y", "Z"])
def test_posed_vertices_equal_the_smplx_packages(scene, model_file, tmp_path, up):
    rng = np.random.default_rng(3)
    poses = rng.normal(scale=0.35, size=(3, 165))
    poses[:, :3] = [[0, 0.4, 0], [0.2, 2.9, 0.1], [-0.3, -2.0, 0.2]]
    if up == "Z":  # AMASS: the root turns the model up
        poses[:, :3] = [[np.pi / 2, 0, 0], [1.4, 0.3, 0.2], [1.7, -0.1, -0.4]]
    translation = rng.normal(size=(3, 3))
    betas, expression = rng.normal(size=BETAS), rng.normal(size=EXPRESSIONS)
    motion = tmp_path / "motion.npz"
    np.savez(motion, poses=poses, trans=translation, mocap_frame_rate=24.0, betas=betas, gender="neutral")

    armature = import_smplx_model(scene, model_file, BETAS, EXPRESSIONS)
    set_smplx_shape(scene, armature, betas, expression)
    import_smplx_motion(scene, armature, motion)
    expected = reference(model_file, poses, translation, betas, expression)
    expected = z_up(expected) if up == "Y" else expected
    for number in range(3):
        distance = np.linalg.norm(evaluated(scene, armature, 1 + number) - expected[number], axis=1)
        assert distance.max() < 1e-4


def test_an_imported_model_is_a_character(scene, model_file):
    armature = import_smplx_model(scene, model_file, 0, 0, correctives=False)
    (character,) = find_characters(scene)
    assert character.armature == armature.name == "SMPLX_NEUTRAL"
    assert label_character(character).family == "SMPL-X"


def test_motion_takes_the_scenes_rate(scene, model_file, tmp_path):
    """One second at 120 frames a second, in a scene of 30: 31 frames, each where its time says."""
    poses = np.zeros((121, 165))
    poses[:, 3 * SMPLX_JOINTS.index("left_elbow") + 1] = np.linspace(0, 1.2, 121)
    np.savez(tmp_path / "m.npz", poses=poses, trans=np.linspace(0, 1, 121)[:, None] * [0, 0, 2.0], mocap_framerate=120)
    armature = import_smplx_model(scene, model_file, 0, 0, correctives=False)
    scene.render.fps = 30
    action = import_smplx_motion(scene, armature, tmp_path / "m.npz", up="Z", start=10)
    assert tuple(action.frame_range) == (10, 40)
    scene.frame_set(25)
    assert armature.pose.bones["left_elbow"].matrix_basis.to_quaternion().angle == pytest.approx(0.6, abs=1e-4)
    moved = armature.pose.bones["pelvis"].head - armature.data.bones["pelvis"].head_local
    assert moved.z == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(("width", "joints"), [(156, 52), (66, 22), (165, 55)])
def test_bodies_with_fewer_joints_keep_the_rest_straight(tmp_path, width, joints):
    poses = np.full((2, width), 0.1)
    np.savez(tmp_path / "m.npz", poses=poses, trans=np.zeros((2, 3)), mocap_frame_rate=30)
    rotations = read_smplx_motion(tmp_path / "m.npz").rotations
    turned = np.abs(rotations[0, :, 1:]).sum(1) > 0
    assert turned.sum() == joints
    assert turned[SMPLX_JOINTS.index("right_wrist")]
    assert turned[SMPLX_JOINTS.index("jaw")] == (width == 165)


def test_parts_are_read_as_the_whole(tmp_path):
    rng = np.random.default_rng(2)
    poses = rng.normal(size=(4, 165))
    parts = np.split(poses, [3, 66, 69, 75], axis=1)
    names = ("root_orient", "pose_body", "pose_jaw", "pose_eye", "pose_hand")
    np.savez(tmp_path / "parts.npz", trans=np.zeros((4, 3)), fps=30, **dict(zip(names, parts, strict=True)))
    np.savez(tmp_path / "whole.npz", trans=np.zeros((4, 3)), fps=30, poses=poses)
    one, other = (read_smplx_motion(tmp_path / f"{name}.npz") for name in ("parts", "whole"))
    np.testing.assert_array_equal(one.rotations, other.rotations)


def test_resampling_to_the_same_rate_changes_nothing():
    rng = np.random.default_rng(5)
    rotations = rng.normal(size=(9, 55, 4))
    rotations /= np.linalg.norm(rotations, axis=-1, keepdims=True)
    translation = rng.normal(size=(9, 3))
    same, moved = resample(rotations, translation, 24, 24)
    np.testing.assert_allclose(same, rotations, atol=1e-12)
    np.testing.assert_allclose(moved, translation, atol=1e-12)


def test_relaxed_hands_add_the_models_mean(scene, model_file, tmp_path):
    np.savez(tmp_path / "m.npz", poses=np.zeros((1, 165)), trans=np.zeros((1, 3)), fps=24)
    armature = import_smplx_model(scene, model_file, 0, 0, correctives=False)
    import_smplx_motion(scene, armature, tmp_path / "m.npz", relaxed_hands=True)
    with np.load(model_file) as file:
        mean = file["hands_meanl"].reshape(15, 3)
    for number, name in enumerate(SMPLX_JOINTS[25:40]):
        angle = armature.pose.bones[name].matrix_basis.to_quaternion().angle
        assert angle == pytest.approx(np.linalg.norm(mean[number]), abs=1e-4)


def test_files_that_are_none_of_it_are_named(scene, model_file, tmp_path):
    def problem(call) -> str:
        with pytest.raises(SceneError) as caught:
            call()
        assert caught.value.fix
        return caught.value.message

    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "other.npz", apples=np.zeros(3))
    np.savez(tmp_path / "still.npz", poses=np.zeros((2, 165)), trans=np.zeros((2, 3)))
    np.savez(tmp_path / "narrow.npz", poses=np.zeros((2, 72)), trans=np.zeros((2, 3)), fps=30)
    cut = tmp_path / "cut.npz"
    cut.write_bytes(model_file.read_bytes()[:5000])
    assert "“text.npz” cannot be read" in problem(lambda: import_smplx_model(scene, tmp_path / "text.npz"))
    assert "“cut.npz” cannot be read" in problem(lambda: import_smplx_model(scene, cut))
    assert "no “v_template”" in problem(lambda: import_smplx_model(scene, tmp_path / "other.npz"))
    assert "no “poses”" in problem(lambda: read_smplx_motion(tmp_path / "other.npz"))
    assert "frame rate" in problem(lambda: read_smplx_motion(tmp_path / "still.npz"))
    assert "72 numbers" in problem(lambda: read_smplx_motion(tmp_path / "narrow.npz"))
    assert read_smplx_motion(tmp_path / "still.npz", frame_rate=30).frame_rate == 30
    a_pose = add_sample_character(scene, action=False)
    assert "T-pose" in problem(lambda: import_smplx_motion(scene, a_pose, tmp_path / "still.npz", 30))
    bpy.data.armatures.remove(a_pose.data)
