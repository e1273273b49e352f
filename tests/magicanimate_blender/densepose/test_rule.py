import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicanimate_blender.densepose.anchors import find_anchors
from magicanimate_blender.densepose.errors import DensePoseError
from magicanimate_blender.densepose.joints import Joints
from magicanimate_blender.densepose.labels import LABELS, MIRROR
from magicanimate_blender.densepose.mesh import triangle_areas
from magicanimate_blender.densepose.rule import label_faces, label_points
from magicanimate_blender.densepose.segments import MIRROR_SEGMENT, SEGMENTS, index_of, strongest
from tools.cc0_bodies import RIGS, about, load_rig, pose_arms

NAMES = [row.name for row in LABELS]


@pytest.fixture(scope="module")
def t_labels(t_pose, weights):
    return label_faces(t_pose.vertices, t_pose.triangles, weights)


def test_agrees_with_labels_made_by_other_code(rest, weights, reference_labels, agreement):
    labels = label_faces(rest.vertices, rest.triangles, weights)
    assert agreement(labels, reference_labels) >= 0.985
    limbs = ~np.isin(reference_labels, [1, 2, 7, 8, 9, 10])
    assert (labels == reference_labels)[limbs].mean() >= 0.999


@pytest.mark.parametrize(("degrees", "least"), [(15, 0.97), (30, 0.97), (45, 0.97), (60, 0.95)])
def test_arms_may_hang_in_the_rest_pose(rest, weights, t_labels, agreement, degrees, least):
    posed = pose_arms(rest, degrees)
    assert agreement(label_faces(posed.vertices, posed.triangles, weights), t_labels) >= least


def test_bent_elbows_of_the_modelled_pose_do_little_harm(rest, weights, t_labels, agreement):
    assert agreement(label_faces(rest.vertices, rest.triangles, weights), t_labels) >= 0.97


@pytest.mark.parametrize("rig", RIGS)
def test_rigs_agree_on_the_same_body(rest, rig, agreement):
    def labels(name):
        return label_faces(rest.vertices, rest.triangles, load_rig(name).segment_weights())

    least = 0.93 if rig == "Rigify" else 0.97
    assert agreement(labels(rig), labels("SMPL-X")) >= least


def test_palms_that_face_forward_are_followed_by_the_thumbs(t_pose, weights, t_labels, agreement, joints_of):
    """Supinate both lower arms by 90 degrees, as in anatomical rest poses."""
    rolled, joints = roll_forearms(t_pose, 90, joints_of(t_pose))
    with_thumbs = label_faces(rolled, t_pose.triangles, weights, joints)
    without = label_faces(rolled, t_pose.triangles, weights, joints, palms="forward")
    assert agreement(with_thumbs, t_labels) >= 0.97
    assert agreement(with_thumbs, t_labels) > agreement(without, t_labels)


def roll_forearms(body, degrees, joints):
    """Turn all that follows the elbows about the axes of the lower arms, thumbs up and then backward."""
    vertices, positions = body.vertices.copy(), dict(joints.positions)
    forearm = load_rig("SMPL-X").segment_weights()
    for side, sign, word in (("l", 1, "left"), ("r", -1, "right")):
        elbow, wrist = body.joints[f"{word}_elbow"], body.joints[f"{word}_wrist"]
        rotation = about(wrist - elbow, -sign * np.radians(degrees))
        share = forearm[:, [index_of(f"farm_{side}"), index_of(f"hand_{side}")]].sum(axis=1, keepdims=True)
        vertices += share * ((vertices - elbow) @ rotation.T + elbow - vertices)
        positions[f"thumb_{side}"] = elbow + rotation @ (positions[f"thumb_{side}"] - elbow)
    return vertices, Joints(positions)


def test_a_mirrored_body_has_mirrored_labels(rest, weights):
    """Of a body that is not symmetric: one arm is lifted."""
    vertices = rest.vertices.copy()
    arm = strongest(weights) == index_of("uarm_l")
    vertices[arm] += [0, 0.01, 0.005]
    labels = label_faces(vertices, rest.triangles, weights)
    mirrored = label_faces(vertices * [-1, 1, 1], rest.triangles, weights[:, MIRROR_SEGMENT])
    off_middle = np.abs(vertices[rest.triangles].mean(axis=1)[:, 0]) > 1e-9
    assert (mirrored == MIRROR[labels])[off_middle].all()


def test_a_body_with_negative_scale_keeps_its_anatomy(rest, weights):
    """Mirrored vertices, but bones keep their names: what .L moves is its right side now."""
    labels = label_faces(rest.vertices, rest.triangles, weights)
    flipped = label_faces(rest.vertices * [-1, 1, 1], rest.triangles, weights)
    off_middle = np.abs(rest.vertices[rest.triangles].mean(axis=1)[:, 0]) > 1e-9
    assert (flipped == MIRROR[labels])[off_middle].mean() > 0.999


def test_up_axis_scale_and_place_do_not_matter(rest, weights):
    labels = label_faces(rest.vertices, rest.triangles, weights)
    to_z_up = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    for rotation, scale, offset in (
        (to_z_up, 1.0, [0, 0, 0.9]),
        (to_z_up, 100.0, [300, -20, 5]),
        (np.roll(np.eye(3), 1, axis=0), 0.01, [0, 0, 0]),
        (about(np.array([0.0, 1.0, 0.0]), 0.7), 1.0, [2, 0, 1]),
    ):
        moved = rest.vertices @ np.asarray(rotation).T * scale + offset
        assert (label_faces(moved, rest.triangles, weights) == labels).mean() > 0.999


def test_directions_may_be_given(rest, weights):
    labels = label_faces(rest.vertices, rest.triangles, weights)
    given = label_faces(rest.vertices, rest.triangles, weights, up=(0, 1, 0), forward=(0, 0, 1))
    assert (given == labels).all()


def test_what_each_part_is(t_pose, t_labels):
    """Where parts lie on a T-posed body, Y up, looking along +Z: left is +X."""
    centre = t_pose.vertices[t_pose.triangles].mean(axis=1)
    area = triangle_areas(t_pose.vertices, t_pose.triangles)
    middle = {
        NAMES[i]: np.average(centre[t_labels == i], axis=0, weights=area[t_labels == i]) for i in np.unique(t_labels)
    }
    assert set(middle) == set(NAMES[1:])
    for name, (x, _, _) in middle.items():
        assert x * {"left": 1, "righ": -1}.get(name[:4], 0) >= 0, name
    for front, back in (("torso_front", "torso_back"), ("left_upper_leg_front", "left_upper_leg_back")):
        assert middle[front][2] > middle[back][2]
    assert middle["left_upper_arm_inside"][2] > middle["left_upper_arm_outside"][2]  # inside is the front ...
    assert middle["left_lower_arm_inside"][1] < middle["left_lower_arm_outside"][1]  # ... and turns to the palm
    feet, shins, thighs = (middle[f"left_{n}"][1] for n in ("foot", "lower_leg_front", "upper_leg_front"))
    assert feet < shins < thighs < middle["torso_front"][1] < middle["head_left"][1]


def test_torso_ends_in_briefs_in_front_and_in_a_line_behind(t_pose, weights, t_labels):
    anchors = find_anchors(t_pose.vertices, t_pose.triangles, weights)
    corners = t_pose.vertices[t_pose.triangles]
    height = (corners[..., 1].mean(axis=1) - anchors.crotch) / anchors.inseam
    near_middle = np.abs(corners[..., 0].mean(axis=1)) < 0.02
    assert height[(t_labels == 2) & near_middle].min() < 0.02
    assert np.percentile(height[t_labels == 1], 1) > 0.15
    assert height[np.isin(t_labels, [7, 8])].max() < 0.19


def test_area_shares_are_those_of_a_body(t_pose, t_labels):
    area = triangle_areas(t_pose.vertices, t_pose.triangles)
    share = np.bincount(t_labels, area, minlength=25) / area.sum()
    assert 0.08 < share[1] < 0.15  # 12.7 % and 17.4 % on SMPL
    assert 0.12 < share[2] < 0.20
    assert share[3:].min() > 0.01
    assert np.allclose(share, share[MIRROR], atol=0.001)


def test_clothes_are_labelled_by_the_anchors_of_their_body(rest, weights, anchors):
    """Trousers: a shell of the legs alone, from which no neck could be measured."""
    labels = label_faces(rest.vertices, rest.triangles, weights)
    legs = np.isin(labels, range(7, 15))
    trousers = label_faces(rest.vertices, rest.triangles[legs], weights, anchors=anchors)
    assert (trousers == labels[legs]).all()


def test_faces_without_weights_follow_their_neighbours(rest, weights):
    labels = label_faces(rest.vertices, rest.triangles, weights)
    bald = weights.copy()
    crown = rest.vertices[:, 1] > rest.vertices[:, 1].max() - 0.05
    bald[crown] = 0
    assert (label_faces(rest.vertices, rest.triangles, bald) == labels).mean() > 0.998


def separate_parts(body, weights):
    """The mesh without the faces that join two segments, as robots and dressed VRM bodies have it."""
    segment = strongest(weights)[body.triangles]
    return body.triangles[(segment == segment[:, :1]).all(axis=1)]


def test_separate_parts_are_guessed_and_said(rest, weights, agreement):
    labels = label_faces(rest.vertices, rest.triangles, weights)
    anchors = find_anchors(rest.vertices, separate_parts(rest, weights), weights)
    assert all("guessed" in note for note in anchors.notes)
    assert len(anchors.notes) == 11
    assert agreement(label_faces(rest.vertices, rest.triangles, weights, anchors=anchors), labels) >= 0.97


def test_parts_far_apart_are_measured_from_the_joints(rest, weights, joints_of, agreement):
    """Only the middle of lower arms and shins is there, as under sleeves and boots."""
    labels = label_faces(rest.vertices, rest.triangles, weights)
    partial = weights.copy()
    joints = joints_of(rest)
    for part, start, end in (("farm", "elbow", "wrist"), ("calf", "knee", "ankle")):
        for side in "lr":
            first, last = joints.positions[f"{start}_{side}"], joints.positions[f"{end}_{side}"]
            t = (rest.vertices - first) @ (last - first) / ((last - first) @ (last - first))
            partial[(strongest(weights) == index_of(f"{part}_{side}")) & (np.abs(t - 0.5) > 0.2)] = 0
            partial[strongest(partial) == index_of(f"{'hand' if part == 'farm' else 'foot'}_{side}")] = 0
    anchors = find_anchors(rest.vertices, rest.triangles, partial, Joints(joints.positions))
    assert sum("from its bone" in note for note in anchors.notes) == 8
    assert agreement(label_faces(rest.vertices, rest.triangles, weights, anchors=anchors), labels) >= 0.97


def test_a_missing_arm_is_mirrored_from_the_other(rest, weights):
    whole = find_anchors(rest.vertices, rest.triangles, weights)
    weights = weights.copy()
    for part in ("uarm_r", "farm_r", "hand_r"):
        weights[strongest(weights) == index_of(part)] = 0
    one_armed = find_anchors(rest.vertices, rest.triangles, weights)
    assert any("other side" in note for note in one_armed.notes)
    assert np.allclose(one_armed.points["elbow_r"], whole.points["elbow_r"], atol=0.01)


def test_limbs_may_end_at_the_wrist(rest, weights):
    weights = weights.copy()
    for part in ("hand_l", "hand_r"):
        weights[strongest(weights) == index_of(part)] = 0
    anchors = find_anchors(rest.vertices, rest.triangles, weights)
    assert any("end of the limb" in note for note in anchors.notes)


def one_sentence(error):
    return error.message.endswith(".") and error.message.count(". ") == 0 and error.fix.endswith(".")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda v, t, w: (v[:0], t[:0], w[:0]), "no faces"),
        (lambda v, t, w: (v, t[:0], w), "no faces"),
        (lambda v, t, w: (v, t, w * 0), "no weights"),
        (lambda v, t, w: (v, t, w[:, :5]), "do not fit"),
        (lambda v, t, w: (v * np.nan, t, w), "not numbers"),
        (lambda v, t, w: (v, t + 1, w), "not there"),
        (lambda v, t, w: (v, t, keep(w, "torso", "head", "uarm", "farm", "hand")), "weighted to the thigh"),
        (lambda v, t, w: (v, t, keep(w, "torso", "head", "thigh", "calf", "foot")), "weighted to the upper arm"),
        (lambda v, t, w: (v, t, keep(w, "head", "uarm", "farm", "thigh", "calf")), "weighted to the torso"),
        (lambda v, t, w: (v, t, one_side(w)), "left from right"),
        (lambda v, t, w: (v * 0, t, w), ""),
    ],
)
def test_bad_input_is_one_sentence_and_a_way_out(rest, weights, spoil, says):
    with pytest.raises(DensePoseError) as error:
        label_faces(*spoil(rest.vertices, rest.triangles, weights))
    assert says in error.value.message
    assert one_sentence(error.value)


def keep(weights, *parts):
    return weights * [name.split("_")[0] in parts for name in SEGMENTS]


def one_side(weights):
    return weights * [not name.endswith("_r") for name in SEGMENTS]


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_point_gets_a_label_of_a_part(anchors, seed):
    generator = np.random.default_rng(seed)
    points = generator.normal(0, 1, (200, 3))
    labels = label_points(points, generator.integers(-1, 14, 200).astype(np.int8), anchors)
    assert labels.min() >= 1
    assert labels.max() <= 24
