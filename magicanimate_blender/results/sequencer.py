"""A strip in the video sequencer that plays a clip."""

import bpy

from .clip import Clip, all_strips, is_tagged, tag
from .colours import set_colorspace
from .sequence import stored_path


def add_strip(scene: bpy.types.Scene, clip: Clip) -> bpy.types.bpy_struct:
    """Add an image strip from `clip.start` in the first channel that is free there. Returns the strip."""
    editor = scene.sequence_editor or scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences  # renamed in Blender 4.4
    end = clip.start + clip.length(scene)
    taken = {s.channel for s in strips if s.frame_final_start < end and s.frame_final_end > clip.start}
    channel = next(c for c in range(1, len(taken) + 2) if c not in taken)
    first = stored_path(clip.frames / clip.file(0))
    strip = strips.new_image(clip.name, first, channel, clip.start, fit_method="FIT")
    tag(strip, clip)
    fill(strip, clip, scene)
    return strip


def strips_of(clip_id: str) -> list[tuple[bpy.types.Scene, bpy.types.bpy_struct]]:
    return [(scene, s) for scene in bpy.data.scenes for s in all_strips(scene) if is_tagged(s, clip_id)]


def fill(strip: bpy.types.bpy_struct, clip: Clip, scene: bpy.types.Scene) -> None:
    """List the file of every scene frame: so a clip of another rate plays in its own time, without an effect strip."""
    files = [clip.file(clip.frame_at(scene, clip.start + n)) for n in range(clip.length(scene))]
    strip.directory = stored_path(clip.frames)
    while len(strip.elements) > len(files):
        strip.elements.pop(len(strip.elements) - 1)
    for element, file in zip(strip.elements, files, strict=False):
        element.filename = file
    for file in files[len(strip.elements) :]:
        strip.elements.append(file)
    set_colorspace(strip, scene)
    tag(strip, clip)
    # Muting is what makes Blender drop its cached pictures of a strip; setting files does not.
    muted = strip.mute
    strip.mute = not muted
    strip.mute = muted
