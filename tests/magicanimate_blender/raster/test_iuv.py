import io

import numpy as np
from PIL import Image

from magicanimate_blender.raster.camera import Camera
from magicanimate_blender.raster.iuv import encode_iuv, iuv_picture
from magicanimate_blender.raster.zbuffer import visible_triangles

FLAT = Camera(np.eye(4), np.diag([1.0, 1.0, -1.0, 1.0]))


def picture():
    """A triangle over the lower left half whose U rises to the right and V upward, and a background one in a corner."""
    positions = [[-1, -1, 0], [1, -1, 0], [-1, 1, 0], [1, 1, 0], [1, 0.5, 0], [0.5, 1, 0]]
    triangles = [[0, 1, 2], [3, 4, 5]]
    uv = np.array([[[0, 0], [1, 0], [0, 1]], [[1, 1]] * 3], np.float32)
    index, barycentric = visible_triangles(positions, triangles, FLAT, 16, 16)
    return iuv_picture(index, barycentric, [14, 0], uv)


def test_part_and_coordinates_of_each_pixel():
    part, u, v = np.moveaxis(picture(), -1, 0)
    assert (part[-1, :15] == 14).all()
    assert u[-1, 0] == int(255 * 0.5 / 16)
    assert v[-1, 0] == int(255 * 0.5 / 16)
    assert (np.diff(u[-1, :15].astype(int)) > 0).all()
    assert (np.diff(v[1:, 0].astype(int)) < 0).all()


def test_background_is_black():
    assert (picture()[:8, 8:] == 0).all()


def test_both_orders_of_channels():
    iuv = picture()
    as_opencv_writes = np.asarray(Image.open(io.BytesIO(encode_iuv(iuv))))
    as_named = np.asarray(Image.open(io.BytesIO(encode_iuv(iuv, order="RGB"))))
    assert (as_opencv_writes[..., 2] == iuv[..., 0]).all()  # blue is the part
    assert (as_named == iuv).all()
