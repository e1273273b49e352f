import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicanimate_blender.densepose.bones import GENERIC, segments_of_bones
from magicanimate_blender.densepose.errors import DensePoseError
from magicanimate_blender.densepose.segments import MIRROR_SEGMENT, SEGMENTS
from tools.cc0_bodies import RIGS, load_rig


def segment_names(names, parents=None):
    found = segments_of_bones(names, parents or [-1] * len(names))
    return [SEGMENTS[s] if s >= 0 else None for s in found.segment]


@pytest.mark.parametrize("name", RIGS)
def test_every_bone_of_a_known_rig_is_known(name):
    rig = load_rig(name)
    found = rig.segments()
    assert found.family == name
    assert found.unknown == ()
    assert found.missing() == ()
    found.require_whole_body()


@pytest.mark.parametrize("name", RIGS)
@settings(max_examples=5)
@given(data=st.data())
def test_order_of_bones_does_not_matter(name, data):
    rig = load_rig(name)
    order = data.draw(st.permutations(range(len(rig.names))))
    parents = [order.index(rig.parents[i]) if rig.parents[i] >= 0 else -1 for i in order]
    shuffled = segments_of_bones([rig.names[i] for i in order], parents)
    assert (shuffled.segment == rig.segments().segment[list(order)]).all()


@pytest.mark.parametrize("name", RIGS)
def test_left_bones_mirror_right_ones(name):
    rig = load_rig(name)
    segment = dict(zip(rig.names, rig.segments().segment, strict=True))

    def other_side(bone):
        for left, right in (("left", "right"), ("Left", "Right"), (".L", ".R"), ("_l", "_r"), ("_L_", "_R_")):
            if left in bone:
                return bone.replace(left, right)
        return bone

    pairs = [(bone, other_side(bone)) for bone in segment if other_side(bone) != bone]
    assert len(pairs) >= 10
    for one, other in pairs:
        mirrored = segment[other] if segment[other] < 0 else MIRROR_SEGMENT[segment[other]]
        assert segment[one] == mirrored, (one, other)


@pytest.mark.parametrize("prefix", ["", "mixamorig:", "mixamorig2:", "Armature|char:mixamorig:", "mixamorig_"])
def test_namespaces_and_prefixes_are_stripped(prefix):
    names = [f"{prefix}{n}" for n in ("Hips", "Spine", "LeftArm", "LeftForeArm", "LeftHand", "LeftUpLeg", "LeftLeg")]
    assert segment_names(names) == ["torso", "torso", "uarm_l", "farm_l", "hand_l", "thigh_l", "calf_l"]


GENERIC_NAMES = {
    "CC_Base_L_Upperarm": "uarm_l", "CC_Base_L_UpperarmTwist01": "uarm_l", "CC_Base_R_Forearm": "farm_r",
    "CC_Base_L_Thigh": "thigh_l", "CC_Base_R_Calf": "calf_r", "CC_Base_L_ToeBase": "foot_l", "CC_Base_Waist": "torso",
    "CC_Base_L_Clavicle": "torso", "CC_Base_NeckTwist01": "head", "CC_Base_L_Mid1": "hand_l",
    "Bip01 L UpperArm": "uarm_l", "Bip01 R Finger0": "hand_r", "Bip01 Spine1": "torso", "Bip01 L Calf": "calf_l",
    "lShldrBend": "uarm_l", "rForearmTwist": "farm_r", "lThumb1": "hand_l", "rShin": "calf_r", "lCollar": "torso",
    "abdomenUpper": "torso", "upperFaceRig": "head", "arm_left": "uarm_l", "leftforearm": "farm_l", "Foot.R": "foot_r",
}  # fmt: skip


def test_unknown_rigs_are_read_by_the_words_in_the_names():
    assert dict(zip(GENERIC_NAMES, segment_names(list(GENERIC_NAMES)), strict=True)) == GENERIC_NAMES
    assert segments_of_bones(list(GENERIC_NAMES), [-1] * len(GENERIC_NAMES)).family == GENERIC


def test_joint_named_rigs_call_the_upper_arm_shoulder_and_the_thigh_hip():
    names = ["Hips", "LeftHip", "LeftKnee", "LeftAnkle", "LeftCollar", "LeftShoulder", "LeftElbow", "LeftWrist", "Head"]
    expected = ["torso", "thigh_l", "calf_l", "foot_l", "torso", "uarm_l", "farm_l", "hand_l", "head"]
    assert segment_names(names) == expected


def test_unnamed_bones_take_the_segment_of_their_nearest_named_ancestor():
    names = ["Hips", "Tail1", "Tail2", "Head", "Feather", "Bone.007"]
    found = segments_of_bones(names, [-1, 0, 1, 0, 3, -1])
    assert [SEGMENTS[s] if s >= 0 else None for s in found.segment] == ["torso"] * 3 + ["head"] * 2 + [None]
    assert found.unknown == ("Tail1", "Tail2", "Feather", "Bone.007")


def test_a_vrm_humanoid_map_goes_before_the_names():
    found = segments_of_bones(["Hips", "Wing", "Nub"], [-1, 0, 1], {"leftUpperArm": "Wing", "leftLowerArm": "Nub"})
    assert [SEGMENTS[s] for s in found.segment] == ["torso", "uarm_l", "farm_l"]


def test_a_neck_that_carries_the_arms_is_chest():
    names = ["spine", "spine.003", "spine.004", "spine.005", "shoulder.L", "upper_arm.L", "forearm.L", "shin.L"]
    standard = segment_names(names, [-1, 0, 1, 2, 1, 4, 5, 0])
    with_one_more = segment_names(names, [-1, 0, 1, 2, 2, 4, 5, 0])
    assert (standard[2], with_one_more[2]) == ("head", "torso")
    assert standard[3] == with_one_more[3] == "head"


def test_helper_bones_at_joints_count_for_nothing():
    rig = load_rig("Rigify")
    found = rig.segments()
    assert {
        SEGMENTS[s] if s >= 0 else None for n, s in zip(rig.names, found.segment, strict=True) if "helper" in n
    } == {None}


def test_half_a_rig_is_named():
    names = ["Hips", "Spine", "Head", "LeftArm", "LeftForeArm", "RightArm", "RightForeArm"]
    found = segments_of_bones(names, [-1] * len(names))
    with pytest.raises(DensePoseError) as error:
        found.require_whole_body()
    assert error.value.message == (
        "The rig has no bone for the left thigh, left lower leg, right thigh and right lower leg."
    )
    assert error.value.fix


@pytest.mark.parametrize("names", [[], ["Bone", "Bone.001", "Cube"]])
def test_no_bones_and_no_meaning_are_said(names):
    with pytest.raises(DensePoseError) as error:
        segments_of_bones(names, [-1] * len(names))
    assert error.value.message.endswith(".")
    assert error.value.fix.endswith(".")


@given(names=st.lists(st.text(max_size=12), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_any_names_and_any_tree_are_survived(names, seed):
    """Broken trees (a bone that is its own ancestor) too."""
    parents = [random.Random(seed + i).randrange(-1, len(names)) for i in range(len(names))]
    try:
        found = segments_of_bones(names, parents)
    except DensePoseError:
        return
    assert found.segment.dtype == np.int8
    assert len(found.segment) == len(names)
