import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest

from magicanimate_blender.results import Clip, write_mattes

SIZE = 16
Render = Callable[[int], np.ndarray]


def write_png(path: Path, image: np.ndarray) -> None:
    height, width, _ = image.shape
    rows = b"".join(b"\0" + row.tobytes() for row in image)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    )


def frame_colour(frame: int) -> tuple[int, int, int]:
    return (20 + 20 * frame, 90, 160)


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Clip]:
    """make_clip("id", count=6, fps=24, start=10, mattes=True): frames of one colour each, their left half a figure."""

    def make(
        clip_id: str = "one",
        *,
        count: int = 6,
        fps: float = 24,
        start: int = 10,
        first_file: int = 1,
        **options: object,
    ) -> Clip:
        size = options.get("size", (SIZE, SIZE))
        folder = tmp_path / clip_id / "frames"
        folder.mkdir(parents=True)
        for frame in range(count):
            colour = options.get("colour") or frame_colour(frame)
            write_png(folder / f"{frame + first_file:06d}.png", np.full((size[1], size[0], 3), colour, np.uint8))
        mattes = None
        if options.get("mattes"):
            mattes = tmp_path / clip_id / "mattes"
            label = np.zeros((size[1], size[0]), np.uint8)
            label[:, : size[0] // 2] = 2
            write_mattes([label] * count, mattes, grow=0, soften=0, first_file=first_file)
        return Clip(clip_id, f"Clip {clip_id}", folder, count, size, fps, start, mattes, first_file)

    return make


def exact_scene() -> bpy.types.Scene:
    """An empty scene with a camera that looks down, rendering exact pixels with Cycles."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    scene = bpy.context.scene
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    camera.location = (0, 0, 8)
    render = scene.render
    render.engine = "CYCLES"
    render.resolution_x = render.resolution_y = SIZE
    render.dither_intensity = 0
    render.film_transparent = True
    render.image_settings.file_format = "PNG"
    render.image_settings.color_mode = "RGBA"
    cycles = scene.cycles
    cycles.samples, cycles.use_denoising, cycles.use_adaptive_sampling = 1, False, False
    cycles.pixel_filter_type, cycles.filter_width = "BOX", 0.01
    return scene


@pytest.fixture
def scene() -> bpy.types.Scene:
    """`exact_scene` with the view Standard."""
    scene = exact_scene()
    scene.view_settings.view_transform = "Standard"
    return scene


@pytest.fixture
def render(scene: bpy.types.Scene, tmp_path: Path) -> Render:
    """render(frame) -> uint8 (H, W, 4), top row first, of what Blender writes to disk."""

    def at(frame: int) -> np.ndarray:
        scene.frame_set(frame)
        scene.render.filepath = str(tmp_path / "render.png")
        bpy.ops.render.render(write_still=True, scene=scene.name)
        return read_png(tmp_path / "render.png")

    return at


def read_png(path: Path) -> np.ndarray:
    image = bpy.data.images.load(str(path), check_existing=False)
    image.colorspace_settings.is_data = True
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    return np.rint(pixels.reshape(height, width, 4)[::-1] * 255).astype(np.uint8)
