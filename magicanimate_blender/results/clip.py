"""A finished animation on disk, and the tag by which Blender's data that shows it is found again."""

from dataclasses import dataclass
from pathlib import Path

import bpy

TAG = "magicanimate_clip"
MATTE = "magicanimate_matte"
"""On images besides TAG: a silhouette, not a picture."""


@dataclass(frozen=True)
class Clip:
    """Pictures `000001.png`, `000002.png` ... and how they lie in time and space.

    frames: folder of the pictures. mattes: folder of equally named greyscale silhouettes, or None.
    count: number of frames. size: width, height in pixels. fps: frames per second.
    start: scene frame on which the first frame lies. first_file: number in the name of the first picture.
    """

    id: str
    name: str
    frames: Path
    count: int
    size: tuple[int, int]
    fps: float
    start: int = 1
    mattes: Path | None = None
    first_file: int = 1

    def file(self, frame: int) -> str:
        """Name of the picture of a frame, which counts from 0."""
        return f"{frame + self.first_file:06d}.png"

    def step(self, scene: bpy.types.Scene) -> float:
        """How many scene frames one frame of the clip lasts."""
        return scene.render.fps / scene.render.fps_base / self.fps

    def length(self, scene: bpy.types.Scene) -> int:
        """Scene frames from the first to the last frame, inclusive."""
        return max(1, round(self.count * self.step(scene)))

    def frame_at(self, scene: bpy.types.Scene, frame: int) -> int:
        """The clip's frame (from 0) that shows at a scene frame; first and last are held outside."""
        position = int((frame - self.start) / self.step(scene) + 1e-6)
        return min(max(position, 0), self.count - 1)


def tag(data: bpy.types.bpy_struct, clip: Clip) -> None:
    """Mark a datablock or a strip as made for this clip; the mark is saved with the file."""
    data[TAG] = clip.id


def is_tagged(data: bpy.types.bpy_struct, clip_id: str) -> bool:
    return data.get(TAG) == clip_id


def all_strips(scene: bpy.types.Scene) -> list[bpy.types.bpy_struct]:
    """Every strip of the scene, those in meta strips too. (Blender 4.4 renamed sequences to strips.)"""
    editor = scene.sequence_editor
    if editor is None:
        return []
    return list(editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all)
