"""Image datablocks that show a clip."""

from pathlib import Path

import bpy

from .clip import MATTE, TAG, Clip, is_tagged, tag
from .colours import set_colorspace


def load_sequence(scene: bpy.types.Scene, clip: Clip) -> bpy.types.Image:
    """The image sequence of the clip's frames: the one that is there, or a new one."""
    image = _of(clip, matte=False) or _load(clip, clip.frames, clip.name)
    set_colorspace(image, scene)
    image.use_view_as_render = True  # else an image editor would show it without the view that it is read for
    return image


def load_mattes(clip: Clip) -> bpy.types.Image:
    """The image sequence of the clip's silhouettes. Raises ValueError if the clip has none."""
    if clip.mattes is None:
        raise ValueError(f"{clip.name} has no mattes")
    image = _of(clip, matte=True) or _load(clip, clip.mattes, f"{clip.name} matte")
    image[MATTE] = True
    image.colorspace_settings.is_data = True
    return image


def images_of(clip_id: str) -> list[bpy.types.Image]:
    return [image for image in bpy.data.images if is_tagged(image, clip_id)]


def point_at(image: bpy.types.Image, clip: Clip) -> None:
    """Make an image of an earlier clip show this one, wherever it is used."""
    folder = clip.mattes if MATTE in image else clip.frames
    if folder is not None:
        image.filepath = stored_path(folder / clip.file(0))
    tag(image, clip)
    image.reload()


def stored_path(path: Path) -> str:
    """As Blender should remember it: relative if it lies beside or below the saved .blend, so that both can move."""
    if not bpy.data.filepath:
        return str(path)
    home = Path(bpy.data.filepath).parent
    return bpy.path.relpath(str(path)) if path.is_relative_to(home) else str(path)


def _of(clip: Clip, *, matte: bool) -> bpy.types.Image | None:
    return next((image for image in images_of(clip.id) if (MATTE in image) == matte), None)


def _load(clip: Clip, folder: Path, name: str) -> bpy.types.Image:
    image = bpy.data.images.load(str(folder / clip.file(0)))
    image.name = name
    image.source = "SEQUENCE"
    image.filepath = stored_path(folder / clip.file(0))
    image[TAG] = clip.id
    return image
