"""The camera: world -> clip coordinates, as Blender projects them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..densepose.errors import DensePoseError

__all__ = ["Camera", "overscan_pixels"]

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """A view (world -> camera, which looks along -Z with Y up) and an OpenGL projection: (4, 4), for column vectors."""

    view: Matrix
    projection: Matrix

    @classmethod
    def from_blender(
        cls,
        matrix_world: ArrayLike,
        *,
        width: int,
        height: int,
        type: str = "PERSP",
        lens: float = 50.0,
        sensor_width: float = 36.0,
        sensor_height: float = 24.0,
        sensor_fit: str = "AUTO",
        shift_x: float = 0.0,
        shift_y: float = 0.0,
        ortho_scale: float = 6.0,
        clip_start: float = 0.1,
        clip_end: float = 1000.0,
        pixel_aspect_x: float = 1.0,
        pixel_aspect_y: float = 1.0,
        overscan: float = 0.0,
    ) -> Camera:
        """The camera of a render of width x height pixels, from the attributes of Blender's camera and render settings.

        matrix_world: (4, 4); its scale counts for nothing, as in Blender. lens and sensor in millimetres.
        overscan: border added on every side, as a fraction of the longer side; `overscan_pixels` tells how wide, and
        the picture is then rasterised that much larger. Formulas: Blender's BKE_camera_params_compute_viewplane.
        Raises DensePoseError for a frame without area and for panoramic cameras.
        """
        if width <= 0 or height <= 0 or pixel_aspect_x <= 0 or pixel_aspect_y <= 0:
            raise DensePoseError(
                f"The frame has no area: {width} x {height} pixels.", "Set the resolution under Output > Format."
            )
        if type not in ("PERSP", "ORTHO"):
            raise DensePoseError(
                f"Part maps cannot be drawn for a camera of type {type}.",
                "Set Camera > Lens to Perspective or Orthographic.",
            )
        aspect = pixel_aspect_y / pixel_aspect_x
        horizontal = sensor_fit == "HORIZONTAL" or (sensor_fit == "AUTO" and width >= aspect * height)
        fitted = width if horizontal else aspect * height  # the side, in pixels, that the sensor's size spans
        sensor = sensor_height if sensor_fit == "VERTICAL" else sensor_width
        span = ortho_scale if type == "ORTHO" else sensor * clip_start / lens
        border = overscan_pixels(width, height, overscan)
        half_width, half_height = width / 2 + border, aspect * (height / 2 + border)
        centre_x, centre_y = shift_x * fitted, shift_y * fitted
        left, right, bottom, top = (
            span / fitted * side
            for side in (centre_x - half_width, centre_x + half_width, centre_y - half_height, centre_y + half_height)
        )
        volume = (left, right, bottom, top, clip_start, clip_end)
        projection = _orthographic(*volume) if type == "ORTHO" else _frustum(*volume)
        return cls(_view_of(np.asarray(matrix_world, np.float64)), projection)

    def to_clip(self, positions: ArrayLike) -> Matrix:
        """World positions (V, 3) -> homogeneous clip coordinates (V, 4); inside the frustum -w <= x, y, z <= w."""
        matrix = self.projection @ self.view
        clip: Matrix = np.asarray(positions, np.float64) @ matrix[:, :3].T + matrix[:, 3]
        return clip


def overscan_pixels(width: int, height: int, overscan: float) -> int:
    """Width in pixels of the border that an overscan adds on every side."""
    return round(overscan * max(width, height))


def _view_of(matrix_world: Matrix) -> Matrix:
    axes = matrix_world[:3, :3] / np.linalg.norm(matrix_world[:3, :3], axis=0)
    rigid = np.eye(4)
    rigid[:3, :3], rigid[:3, 3] = axes, matrix_world[:3, 3]
    return np.linalg.inv(rigid)


def _frustum(left: float, right: float, bottom: float, top: float, near: float, far: float) -> Matrix:
    return np.array(
        [
            [2 * near / (right - left), 0, (right + left) / (right - left), 0],
            [0, 2 * near / (top - bottom), (top + bottom) / (top - bottom), 0],
            [0, 0, -(far + near) / (far - near), -2 * far * near / (far - near)],
            [0, 0, -1, 0],
        ]
    )


def _orthographic(left: float, right: float, bottom: float, top: float, near: float, far: float) -> Matrix:
    return np.array(
        [
            [2 / (right - left), 0, 0, -(right + left) / (right - left)],
            [0, 2 / (top - bottom), 0, -(top + bottom) / (top - bottom)],
            [0, 0, -2 / (far - near), -(far + near) / (far - near)],
            [0, 0, 0, 1],
        ]
    )
