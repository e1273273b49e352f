"""Finished animations in Blender: a plane, an image sequence, compositor nodes, a sequencer strip.

    clip = Clip(id="6f1c...", name="Walk", frames=Path(".../frames"), count=48, size=(512, 512), fps=24.0, start=1)
    add_plane(scene, clip)                    # fills the camera's view
    add_to_compositor(scene, clip)
    add_strip(scene, clip)
    refresh(newer_clip, replaces=clip.id)     # every use of `clip` now shows `newer_clip`
    remove(clip.id)                           # and nothing is left of it

Frames are numbered PNG files, 000001.png, 000002.png ... in one folder. Colours come out as delivered under
the view transforms that Blender can invert (see `colours`).
"""

from .clip import Clip
from .colours import colour_note
from .compositor import add_to_compositor
from .matte import write_mattes
from .placement import Placement
from .plane import add_plane
from .refresh import Uses, refresh, remove, uses_of
from .sequence import load_sequence
from .sequencer import add_strip, sequencer_note, show_in_sequencers

__all__ = [
    "Clip",
    "Placement",
    "Uses",
    "add_plane",
    "add_strip",
    "add_to_compositor",
    "colour_note",
    "load_sequence",
    "refresh",
    "remove",
    "sequencer_note",
    "show_in_sequencers",
    "uses_of",
    "write_mattes",
]
