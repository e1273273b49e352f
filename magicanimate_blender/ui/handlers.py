"""What Blender tells us: files are loaded, steps are undone, the scene changes."""

from __future__ import annotations

import bpy
from bpy.app.handlers import persistent

from ..animation import Animation
from ..results import colours
from ..scene import scratch
from . import beside, geometry, live_preview, messages, overlay, preferences, runtime, scene_facts
from .messages import Message
from .settings import remember_job

_owner = object()
_scene_of_job: dict[str, int] = {}
"""Session id of the scene of each job of this session: undo may take the job's id out of the scene's own list."""


@persistent
def before_load(*_: object) -> None:
    """Half-drawn jobs can't go on without their scene; all others do, in the server."""
    scratch.close_all()
    current = runtime.active()
    half_drawn: list[str] = []
    for drawing in current.drawings if current else ():
        drawing.cancel()
        for taker in drawing.takers:
            if isinstance(taker, Animation) and not taker.missing_maps():
                continue
            taker.cancel()
            if isinstance(taker, Animation):
                half_drawn.append(taker.spec.name)
    if current:
        current.drawings.clear()
        for delivery in current.deliveries:  # it is begun anew if that file turns out to be opened again
            current.noticed.discard(delivery.record.id)
        current.deliveries.clear()
    _scene_of_job.clear()
    geometry.forget()
    overlay.forget()
    scene_facts.forget_all()
    messages.clear()
    if half_drawn:
        messages.tell(
            Message(
                f"“{half_drawn[0]}” was cancelled: its file was closed while its part maps were drawn.",
                "Open that file again and click Animate.",
            )
        )


@persistent
def after_load(*_: object) -> None:
    """Find the file's unfinished jobs again, and follow its scenes' view transforms."""
    scratch.remove_left_over()
    colours.follow_views(_owner)
    find_jobs_again()
    for scene in bpy.data.scenes:
        overlay.show(scene)


def find_jobs_again() -> None:
    """Look after jobs of the open file that an earlier session of Blender left to the server."""
    if not bpy.app.background and any(scene.magicanimate.jobs for scene in bpy.data.scenes):
        resume_jobs(runtime.runtime())


def resume_jobs(current: runtime.Runtime) -> None:
    """The unfinished jobs of the open file's scenes; those whose maps were not all drawn can't go on."""
    mine = {job.name for scene in bpy.data.scenes for job in scene.magicanimate.jobs}
    for job in current.animations.unfinished():
        if job in mine:
            animation = current.animations.resume(job)
            if animation.missing_maps():  # the scene may have changed since: half of the maps would not fit
                animation.cancel()
                messages.tell(
                    Message(
                        f"Blender ended while the part maps of “{animation.spec.name}” were drawn: it was cancelled.",
                        "Click Animate to begin it anew.",
                        "half-drawn",
                    )
                )


@persistent
def before_undo(*_: object) -> None:
    """What is drawn from goes with the file's memory; it is made again when the drawing goes on."""
    scratch.close_all()


@persistent
def after_undo(*_: object) -> None:
    """Undo replaced the scenes in memory; jobs go on, and their scenes still know them."""
    scratch.remove_left_over()
    scenes = {scene.session_uid: scene for scene in bpy.data.scenes}
    for job, uid in _scene_of_job.items():
        if uid in scenes:
            remember_job(scenes[uid], job)
    geometry.forget_if_other()
    overlay.forget()
    for scene in bpy.data.scenes:
        scene_facts.mark_changed(scene)


@persistent
def after_change(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph | None = None) -> None:
    if scratch.is_scratch(scene) or scratch.at_work():
        return
    if depsgraph is not None and geometry.was_touched(depsgraph):
        geometry.forget_if_other()
    after_frame_change(scene)


@persistent
def after_frame_change(scene: bpy.types.Scene, *_: object) -> None:
    if scratch.is_scratch(scene):
        return
    overlay.mark_changed()
    live_preview.mark_changed()
    scene_facts.mark_changed(scene)
    for job in scene.magicanimate.jobs:
        _scene_of_job[job.name] = scene.session_uid


@persistent
def before_save(filepath: str, *_: object) -> None:
    scratch.close_all()
    beside.move_in(filepath)


@persistent
def after_save(*_: object) -> None:
    beside.move_back()


def _reconnect() -> None:
    runtime.restart()
    find_jobs_again()


HANDLERS = {
    "save_pre": before_save,
    "save_post": after_save,
    "load_pre": before_load,
    "load_post": after_load,
    "undo_pre": before_undo,
    "redo_pre": before_undo,
    "undo_post": after_undo,
    "redo_post": after_undo,
    "depsgraph_update_post": after_change,
    "frame_change_post": after_frame_change,
}


def register() -> None:
    for name, handler in HANDLERS.items():
        getattr(bpy.app.handlers, name).append(handler)
    preferences.changed.append(_reconnect)
    colours.follow_views(_owner)


def unregister() -> None:
    scratch.close_all()
    preferences.changed.remove(_reconnect)
    bpy.msgbus.clear_by_owner(_owner)
    for name, handler in HANDLERS.items():
        getattr(bpy.app.handlers, name).remove(handler)
