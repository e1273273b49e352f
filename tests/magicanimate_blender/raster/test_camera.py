import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicanimate_blender.densepose.errors import DensePoseError
from magicanimate_blender.raster.camera import Camera, overscan_pixels

CAMERAS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["PERSP", "ORTHO"]),
        "lens": st.floats(8, 200),
        "sensor_width": st.floats(5, 60),
        "sensor_height": st.floats(5, 60),
        "sensor_fit": st.sampled_from(["AUTO", "HORIZONTAL", "VERTICAL"]),
        "shift_x": st.floats(-1, 1),
        "shift_y": st.floats(-1, 1),
        "ortho_scale": st.floats(0.1, 20),
        "clip_start": st.floats(0.01, 1),
        "clip_end": st.floats(10, 1000),
        "pixel_aspect_x": st.floats(1, 3),
        "pixel_aspect_y": st.floats(1, 3),
    }
)
SIZES = st.tuples(st.integers(4, 2000), st.integers(4, 2000))


@settings(max_examples=60)
@given(options=CAMERAS, size=SIZES)
def test_projects_as_blender_does(options, size):
    bpy = pytest.importorskip("bpy")
    data = bpy.data.cameras.new("test")
    obj = bpy.data.objects.new("test", data)
    try:
        for name in ("type", "lens", "sensor_width", "sensor_height", "sensor_fit", "shift_x", "shift_y"):
            setattr(data, name, options[name])
        data.ortho_scale, data.clip_start, data.clip_end = (
            options["ortho_scale"],
            options["clip_start"],
            options["clip_end"],
        )
        expected = obj.calc_matrix_camera(
            bpy.context.evaluated_depsgraph_get(),
            x=size[0],
            y=size[1],
            scale_x=options["pixel_aspect_x"],
            scale_y=options["pixel_aspect_y"],
        )
        ours = Camera.from_blender(np.eye(4), width=size[0], height=size[1], **options).projection
        assert np.allclose(ours, np.array(expected), rtol=2e-3, atol=2e-3)  # Blender computes in single precision
    finally:
        bpy.data.objects.remove(obj)
        bpy.data.cameras.remove(data)


def test_a_point_ahead_is_in_the_middle(camera_at):
    clip = camera_at((0, -5, 1), (0, 0, 1), 640, 480).to_clip([[0, 0, 1], [1, 0, 1], [0, 0, 2], [0, -4, 1], [0, -6, 1]])
    x, y, z = (clip[:, :3] / clip[:, 3:]).T
    assert np.allclose([x[0], y[0]], 0)
    assert x[1] > 0.1  # right of the picture
    assert y[2] > 0.1  # up
    assert z[3] < z[0]  # nearer
    assert clip[4, 3] < 0  # behind


def test_scale_of_the_camera_object_counts_for_nothing():
    scaled = np.diag([2.0, 3.0, 0.5, 1.0])
    assert np.allclose(
        Camera.from_blender(scaled, width=8, height=8).view, Camera.from_blender(np.eye(4), width=8, height=8).view
    )


@given(size=SIZES, options=CAMERAS, overscan=st.floats(0, 0.5))
def test_overscan_adds_a_border_and_keeps_the_middle(size, options, overscan):
    width, height = size
    plain = Camera.from_blender(np.eye(4), width=width, height=height, **options)
    wide = Camera.from_blender(np.eye(4), width=width, height=height, overscan=overscan, **options)
    border = overscan_pixels(width, height, overscan)
    points = np.array([[0.1, 0.2, -3], [-1, 0.5, -7]])

    def pixels(camera, w, h):
        clip = camera.to_clip(points)
        return (clip[:, :2] / clip[:, 3:] + 1) / 2 * [w, h]

    inner = pixels(wide, width + 2 * border, height + 2 * border) - border
    assert np.allclose(inner, pixels(plain, width, height), rtol=1e-6, atol=1e-6 * max(size))


@pytest.mark.parametrize("options", [{"width": 0, "height": 5}, {"width": 5, "height": -1}])
def test_a_frame_without_area_is_refused(options):
    with pytest.raises(DensePoseError, match="no area"):
        Camera.from_blender(np.eye(4), **options)


def test_panoramas_are_refused():
    with pytest.raises(DensePoseError, match="PANO"):
        Camera.from_blender(np.eye(4), width=8, height=8, type="PANO")
