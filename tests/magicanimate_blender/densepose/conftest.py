"""Labelled CC0 bodies, measured once."""

from pathlib import Path

import numpy as np
import pytest

from magicanimate_blender.densepose.anchors import find_anchors
from magicanimate_blender.densepose.joints import Joints, joints_of_bones
from magicanimate_blender.densepose.mesh import triangle_areas
from tools.cc0_bodies import KINDS, SMPLX_ORDER, Body, load_body, load_rig, pose_arms


@pytest.fixture(scope="session")
def weights():
    """(V, 14) of the SMPL-X rig; the same for every pose and both bodies."""
    return load_rig("SMPL-X").segment_weights()


@pytest.fixture(scope="session", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="session")
def rest(kind) -> Body:
    """The body as it was modelled: arms half way down, elbows bent."""
    return load_body(kind)


@pytest.fixture(scope="session")
def t_pose(rest) -> Body:
    return pose_arms(rest, 0)


@pytest.fixture(scope="session")
def anchors(rest, weights):
    return find_anchors(rest.vertices, rest.triangles, weights)


@pytest.fixture(scope="session")
def reference_labels(kind):
    """Labels of the rest body, made by the rule's authors with other code (CC0, with the bodies)."""
    return np.load(Path(__file__).with_name("reference_labels.npz"))[kind]


@pytest.fixture(scope="session")
def joints_of():
    """Body -> Joints of its SMPL-X rig."""
    rig = load_rig("SMPL-X")

    def joints(body: Body) -> Joints:
        heads = np.stack([body.joints[name] for name in SMPLX_ORDER])
        return joints_of_bones(rig.segments(), rig.names, rig.parents, heads)

    return joints


@pytest.fixture(scope="session")
def agreement(t_pose):
    """Share of the surface, in T-pose, on which two labellings agree."""
    area = triangle_areas(t_pose.vertices, t_pose.triangles)
    return lambda one, other: float(area[np.asarray(one) == np.asarray(other)].sum() / area.sum())
