"""Cameras and scenes for the rasteriser's tests."""

import numpy as np
import pytest

from magicanimate_blender.raster.camera import Camera


def looking_at(eye, target, up=(0, 0, 1)):
    """matrix_world of a Blender camera at eye that looks at target."""
    eye, target = np.asarray(eye, float), np.asarray(target, float)
    z = (eye - target) / np.linalg.norm(eye - target)
    x = np.cross(up, z)
    x /= np.linalg.norm(x)
    matrix = np.eye(4)
    matrix[:3] = np.stack([x, np.cross(z, x), z, eye], axis=1)
    return matrix


@pytest.fixture(scope="session")
def camera_at():
    """eye, target, width, height, options of Camera.from_blender -> Camera."""
    return lambda eye, target, width, height, **options: Camera.from_blender(
        looking_at(eye, target), width=width, height=height, **options
    )
