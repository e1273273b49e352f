"""Which way the inside of a lower arm faces, for rest poses whose palms do not look down."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["forearm_fronts"]

Points = NDArray[np.float64]

_PALM_TURN_DEGREES = 18.0  # from the thumb toward the back of the hand: where "front" lies in a palms-down T-pose
_PALM_TOLERANCE_DEGREES = 35.0  # thumbs this near to forward are the pose the rule was fitted on


def forearm_fronts(points: dict[str, Points], joint: Callable[[str], Points | None], palms: str) -> dict[str, Points]:
    """Side -> what is front for a lower arm whose thumb points elsewhere: the thumb, turned to the hand's back."""
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
