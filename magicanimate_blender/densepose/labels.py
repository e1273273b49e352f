"""The 24 DensePose body parts and the background: names, colours and mirror pairs.

Left and right are the subject's. The colours are those of the pictures that MagicAnimate was trained on: matplotlib's
viridis at floor(label * 255 / 24), so that nearby labels differ by a few levels only: a picture is exact or it is
wrong. Mind the order: 3 is the RIGHT hand but 5 the LEFT foot.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["BACKGROUND", "LABELS", "MIRROR", "PALETTE", "Label"]

BACKGROUND = 0


class Label(NamedTuple):
    """One row of the table: label 0..24, its name, its colour as 8-bit sRGB."""

    label: int
    name: str
    colour: tuple[int, int, int]


LABELS: tuple[Label, ...] = (
    Label(0, "background", (68, 1, 84)),
    Label(1, "torso_back", (71, 16, 99)),
    Label(2, "torso_front", (72, 31, 112)),
    Label(3, "right_hand", (71, 44, 122)),
    Label(4, "left_hand", (68, 57, 131)),
    Label(5, "left_foot", (64, 70, 136)),
    Label(6, "right_foot", (59, 81, 139)),
    Label(7, "right_upper_leg_back", (54, 93, 141)),
    Label(8, "left_upper_leg_back", (49, 104, 142)),
    Label(9, "right_upper_leg_front", (44, 113, 142)),
    Label(10, "left_upper_leg_front", (40, 124, 142)),
    Label(11, "right_lower_leg_back", (37, 133, 142)),
    Label(12, "left_lower_leg_back", (33, 144, 141)),
    Label(13, "right_lower_leg_front", (31, 154, 138)),
    Label(14, "left_lower_leg_front", (32, 163, 134)),
    Label(15, "left_upper_arm_inside", (39, 173, 129)),
    Label(16, "right_upper_arm_inside", (53, 183, 121)),
    Label(17, "left_upper_arm_outside", (70, 192, 111)),
    Label(18, "right_upper_arm_outside", (92, 200, 99)),
    Label(19, "left_lower_arm_inside", (115, 208, 86)),
    Label(20, "right_lower_arm_inside", (142, 214, 69)),
    Label(21, "left_lower_arm_outside", (170, 220, 50)),
    Label(22, "right_lower_arm_outside", (197, 224, 33)),
    Label(23, "head_right", (226, 228, 24)),
    Label(24, "head_left", (253, 231, 37)),
)

PALETTE: NDArray[np.uint8] = np.array([row.colour for row in LABELS], np.uint8)
"""(25, 3): the colour of every label."""

MIRROR: NDArray[np.uint8] = np.array(
    [0, 1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 18, 17, 20, 19, 22, 21, 24, 23], np.uint8
)
"""(25,): the label of the same part on the body's other side."""

PALETTE.setflags(write=False)
MIRROR.setflags(write=False)
