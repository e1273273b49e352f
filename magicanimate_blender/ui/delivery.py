"""What becomes of a finished animation: it takes its place in the scene."""

from __future__ import annotations

import bpy

from .. import results
from ..animation import Record, State
from ..densepose.errors import DensePoseError
from ..results import Clip, placement
from ..scene.characters import find_characters, get_object
from ..scene.errors import SceneError
from ..scene.kept import poses_kept
from . import clips
from .runtime import Runtime
from .settings import scene_of

PREVIEW = "preview"
"""Group of jobs that only show one frame in the panel."""
NEARER = 0.998
SAMPLED_FRAMES = 8
"""Frames at which the character's depth is measured, spread over the clip."""


def deliver(runtime: Runtime, record: Record) -> bool:
    """Put a result where the panel of its scene says; a regenerated one where its base is shown.

    Returns whether it was put anywhere: not if its scene is not in the open file. Raises DensePoseError, ClientError.
    """
    scene = scene_of(record.id)
    if scene is None or record.spec.group is not None:  # previews and variations are looked at in the panel
        return False
    base = record.spec.base
    if base is not None and results.uses_of(base):
        replace(runtime, scene, record, base)
        return True
    show_as(runtime, scene, record, scene.magicanimate.then)
    return scene.magicanimate.then != "NOTHING"


def replace(runtime: Runtime, scene: bpy.types.Scene, record: Record, old: str) -> None:
    """Let everything that shows the result `old` show this one."""
    cut_out = any(results.clip.MATTE in image for image in results.sequence.images_of(old))
    results.refresh(scene, clips.clip_of(runtime, record, cut_out=cut_out), replaces=old)


def show_as(runtime: Runtime, scene: bpy.types.Scene, record: Record, kind: str) -> None:
    """kind: PLANE, CURSOR, COMPOSITOR, STRIP, IMAGE or NOTHING."""
    if kind == "NOTHING":
        return
    if record.state is not State.DONE:
        raise SceneError("That animation is not finished.", "Wait for it, or choose another result.")
    clip = clips.clip_of(runtime, record, cut_out=scene.magicanimate.cut_out and kind not in ("STRIP", "IMAGE"))
    if kind == "PLANE" and scene.camera is not None:
        results.add_plane(scene, clip, depth=_depth(runtime, scene, clip))
    elif kind in ("PLANE", "CURSOR"):
        results.add_plane(
            scene, clip, placement=placement.at_cursor(scene, clip.size, height=height_of_view(scene, clip))
        )
    elif kind == "COMPOSITOR":
        results.add_to_compositor(scene, clip)
    elif kind == "STRIP":
        results.add_strip(scene, clip)
    elif kind == "IMAGE":
        results.load_sequence(scene, clip).use_fake_user = True


def _depth(runtime: Runtime, scene: bpy.types.Scene, clip: Clip) -> float:
    """As seen when the part maps were drawn; measured anew for a result of an earlier session.

    Every further plane comes a little nearer, so that the newest is seen.
    """
    depth = runtime.depths.get(clip.id, -1.0) * placement.IN_FRONT
    if not scene.camera.data.clip_start < depth < float("inf"):
        depth = depth_of_character(scene, clip)
    planes = sum(1 for obj in scene.objects if results.clip.TAG in obj and obj.parent == scene.camera)
    return depth * NEARER**planes


def depth_of_character(scene: bpy.types.Scene, clip: Clip) -> float:
    last = clip.start + clip.length(scene) - 1
    frames = {round(clip.start + (last - clip.start) * n / (SAMPLED_FRAMES - 1)) for n in range(SAMPLED_FRAMES)}
    characters = find_characters(scene)
    meshes = [get_object(name) for character in characters for name in character.meshes]
    with poses_kept(get_object(character.armature) for character in characters):
        return placement.depth_before(scene, meshes, sorted(frames))


def height_of_view(scene: bpy.types.Scene, clip: Clip) -> float:
    """Metres that the clip's height spans at the character, so that the figure is life-size; 2 without a camera."""
    try:
        low, high = placement.view_rectangle(scene, clip.size, depth_of_character(scene, clip))
    except DensePoseError:  # no camera to measure by
        return 2.0
    return high.y - low.y
