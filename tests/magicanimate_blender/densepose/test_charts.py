import numpy as np
import pytest

from magicanimate_blender.densepose.anchors import find_anchors
from magicanimate_blender.densepose.charts import chart_uv
from magicanimate_blender.densepose.labels import LABELS
from magicanimate_blender.densepose.rule import label_faces

LABEL = {row.name: row.label for row in LABELS}


@pytest.fixture(scope="module")
def chart(t_pose, weights):
    """Name of a part -> corners (N, 3), u, v (N,) of it on the T-posed body."""
    anchors = find_anchors(t_pose.vertices, t_pose.triangles, weights)
    labels = label_faces(t_pose.vertices, t_pose.triangles, weights, anchors=anchors)
    uv = chart_uv(t_pose.vertices, t_pose.triangles, labels, anchors)

    def of(name):
        part = labels == LABEL[name]
        return t_pose.vertices[t_pose.triangles[part]].reshape(-1, 3), *uv[part].reshape(-1, 2).T

    return of


@pytest.mark.parametrize("name", list(LABEL)[1:])
def test_every_chart_spans_the_unit_square(chart, name):
    _, u, v = chart(name)
    for coordinate in (u, v):
        assert (coordinate.min(), coordinate.max()) == (0, 1)


LEFT, UP, FORWARD = 0, 1, 2
DIRECTIONS = [  # part, which coordinate of the chart, along which axis of the T-posed body, rising or falling
    ("torso_front", "u", UP, -1), ("torso_back", "u", UP, -1), ("torso_front", "v", LEFT, -1),
    ("torso_back", "v", LEFT, -1),
    ("right_upper_leg_back", "u", UP, -1), ("left_upper_leg_back", "u", UP, -1),
    ("right_upper_leg_front", "u", UP, 1), ("left_upper_leg_front", "u", UP, 1),
    ("right_lower_leg_back", "u", UP, 1), ("left_lower_leg_front", "u", UP, -1),
    ("left_upper_arm_inside", "u", LEFT, 1), ("right_upper_arm_outside", "u", LEFT, -1),
    ("left_lower_arm_inside", "u", LEFT, -1), ("left_lower_arm_outside", "u", LEFT, 1),
    ("left_hand", "v", LEFT, 1), ("right_hand", "v", LEFT, -1),
    ("left_foot", "u", FORWARD, 1), ("right_foot", "u", FORWARD, -1), ("left_foot", "v", UP, 1),
    ("head_right", "u", FORWARD, 1), ("head_left", "u", FORWARD, -1), ("head_left", "v", UP, 1),
    # the angle atan2(O, F) of a leg rises from the front to the midline, and falls to the outside
    ("left_upper_leg_front", "v", LEFT, -1), ("right_upper_leg_front", "v", LEFT, 1),
    ("left_lower_leg_front", "v", LEFT, 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "coordinate", "axis", "sign"), DIRECTIONS)
def test_directions_are_those_of_the_published_charts(chart, name, coordinate, axis, sign):
    points, u, v = chart(name)
    correlation = np.corrcoef(u if coordinate == "u" else v, points[:, axis])[0, 1]
    assert sign * correlation > 0.7
