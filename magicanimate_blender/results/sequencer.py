"""A strip in the video sequencer that plays a clip."""

import bpy

from ..scene.errors import Note
from .clip import Clip, all_strips, is_tagged, tag
from .colours import set_colorspace
from .sequence import stored_path

KEPT_OUT = "magicanimate_sequencer_off"
"""On scenes whose renders we kept the sequencer out of."""


def add_strip(scene: bpy.types.Scene, clip: Clip) -> bpy.types.bpy_struct:
    """Add an image strip from `clip.start` in the first channel that is free there. Returns the strip.

    What the scene renders stays what it was: Blender renders the strips instead of the 3D scene as soon as there are
    any, so unless it did that before, Output > Post Processing > Sequencer is turned off.
    """
    if scene.render.use_sequencer and not renders_strips(scene):
        scene.render.use_sequencer = False
        scene[KEPT_OUT] = True
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


def renders_strips(scene: bpy.types.Scene) -> bool:
    """Whether a render of the scene shows its strips, not the 3D scene: by the rule of Blender's render pipeline."""
    editor = scene.sequence_editor
    if editor is None or not scene.render.use_sequencer:
        return False
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    pictures = [s for s in strips if s.type != "SOUND"]
    if bpy.app.version < (4, 3, 0):  # measured on 4.2 and 4.5: muted strips make a black render, or none
        return bool(pictures)
    return any(not s.mute and not editor.channels[s.channel].mute for s in pictures)


def sequencer_note(scene: bpy.types.Scene) -> Note | None:
    """What has to be done to see or render the scene's strips."""
    if KEPT_OUT not in scene or scene.render.use_sequencer:
        return None
    return Note(
        f"The strip lies in the sequencer of “{scene.name}”. Renders show the 3D scene, as before.",
        "To render the strips, turn on Sequencer under Output > Post Processing.",
    )


def show_in_sequencers(scene: bpy.types.Scene) -> None:
    """From Blender 5.0 a workspace says which scene its sequencers show: this one, where none is chosen."""
    for workspace in bpy.data.workspaces:
        if getattr(workspace, "sequencer_scene", scene) is None:
            workspace.sequencer_scene = scene


def after_removal(scene: bpy.types.Scene) -> None:
    """Without any strips the sequencer no longer decides what is rendered: it is on again, as it was."""
    if KEPT_OUT in scene and not all_strips(scene):
        scene.render.use_sequencer = True
        del scene[KEPT_OUT]


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
