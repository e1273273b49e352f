"""Tests leave nothing in the folders of the person who runs them."""

import os
from pathlib import Path

from magicanimate_blender.raster.png import encode_labels


def test_blenders_settings_and_thumbnails_stay_with_the_tests(blender, tmp_path):
    import bpy.utils.previews
    import numpy as np

    picture = tmp_path / "picture.png"
    picture.write_bytes(encode_labels(np.eye(64, dtype=np.uint8)))
    previews = bpy.utils.previews.new()
    try:
        assert tuple(previews.load("picture", str(picture), "IMAGE").image_size) == (64, 64)
    finally:
        bpy.utils.previews.remove(previews)
    assert list(Path(os.environ["XDG_CACHE_HOME"], "thumbnails").rglob("*.png"))
    assert not Path(bpy.utils.user_resource("CONFIG")).is_relative_to(Path.home())
