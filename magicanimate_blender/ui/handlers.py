"""What Blender tells us: files are loaded, steps are undone, the scene changes."""

from __future__ import annotations

from contextlib import suppress

import bpy
from bpy.app.handlers import persistent

from ..animation import Animation
from ..client import ClientError
from ..results import colours
from ..scene import scratch
from . import beside, deletion, geometry, live_preview, messages, overlay, preferences, runtime, scene_facts
from .delivery import delivery_of
from .messages import Message
from .settings import remember_job

IN_WINDOW = not bpy.app.background
"""Else nobody waits for jobs of earlier sessions, as on a render farm."""
LOOK_AGAIN = 5.0
"""Seconds between looks at whether another Blender has ended that looks after a job of the open file."""
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
        for consumer in drawing.consumers:
            if isinstance(consumer, Animation) and not consumer.missing_maps():
                continue
            consumer.cancel()
            if isinstance(consumer, Animation):
                half_drawn.append(consumer.spec.name)
    if current:
        current.drawings.clear()
        for delivery in current.deliveries:  # it is begun anew when that file is opened again
            delivery.put_off()
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
    """Find the file's jobs again, and follow its scenes' view transforms."""
    scratch.remove_left_over()
    deletion.close()
    with suppress(KeyError):  # registered, but not enabled
        deletion.recover_lost(preferences.preferences().results_folder)
    colours.follow_views(_owner)
    find_jobs_again()
    for scene in bpy.data.scenes:
        overlay.show(scene)


def find_jobs_again() -> None:
    """Look after jobs of the open file that an earlier session of Blender, or another file, left to the server."""
    if IN_WINDOW and any(scene.magicanimate.jobs for scene in bpy.data.scenes):
        resume_jobs(runtime.runtime())


def resume_jobs(current: runtime.Runtime) -> None:
    """The unfinished jobs of the open file's scenes, and results that ended while it was not open.

    What another Blender looks after is left to that one, and asked for again until it has ended.
    """
    refused = _look_after(current)
    for error in refused:
        messages.tell(error)
    if refused and not bpy.app.timers.is_registered(look_again):
        bpy.app.timers.register(look_again, first_interval=LOOK_AGAIN)


def look_again() -> float | None:
    """Go on with the jobs of another Blender once that has ended; a timer's, until none of them is left."""
    current = runtime.active()
    return LOOK_AGAIN if current is not None and _look_after(current) else None


def _look_after(current: runtime.Runtime) -> list[ClientError]:
    """Why jobs of the open file can't be looked after here."""
    mine = {job.name for scene in bpy.data.scenes for job in scene.magicanimate.jobs}
    for record in current.animations.to_place():
        if record.id in mine and (delivery := delivery_of(current, record)) is not None:
            current.deliveries.append(delivery)
    refused = []
    for job in mine.intersection(current.animations.unfinished()):
        try:
            animation = current.animations.resume(job)
        except ClientError as error:
            refused.append(error)
            continue
        if animation.missing_maps():  # the scene may have changed since: half of the maps would not fit
            animation.cancel()
            messages.tell(
                Message(
                    f"“{animation.spec.name}” was cancelled: Blender ended while its part maps were drawn.",
                    "Click Animate to begin it anew.",
                    "half-drawn",
                )
            )
    return refused


@persistent
def before_undo(*_: object) -> None:
    """What is drawn from goes with the file's memory; it is made again when the drawing goes on."""
    scratch.close_all()


@persistent
def after_undo(*_: object) -> None:
    """Undo replaced the scenes in memory; jobs go on, and their scenes still know them."""
    scratch.remove_left_over()
    deletion.follow_undo()
    scenes = {scene.session_uid: scene for scene in bpy.data.scenes}
    for job, uid in _scene_of_job.items():
        if uid in scenes and not deletion.is_deleted(job):
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
def before_save(filepath: str = "", *_: object) -> None:
    """filepath: of the file that is written, which Save Copy and Save Startup File make another than the open one."""
    scratch.close_all()
    beside.move_in(filepath)
    deletion.before_save()


@persistent
def after_save(filepath: str = "", *_: object) -> None:
    if filepath:
        beside.note_uses(filepath)
    beside.move_back()
    deletion.after_save(saved=filepath != "" and bpy.data.filepath == filepath)


@persistent
def after_failed_save(*_: object) -> None:
    beside.move_back()
    deletion.after_save(saved=False)


def _reconnect() -> None:
    runtime.restart()
    find_jobs_again()


HANDLERS = {
    "save_pre": before_save,
    "save_post": after_save,
    "save_post_fail": after_failed_save,
    "load_pre": before_load,
    "load_post": after_load,
    "undo_pre": before_undo,
    "redo_pre": before_undo,
    "undo_post": after_undo,
    "redo_post": after_undo,
    "depsgraph_update_post": after_change,
    "frame_change_post": after_frame_change,
}


def _first_look() -> None:
    after_load()


def register() -> None:
    for name, handler in HANDLERS.items():
        getattr(bpy.app.handlers, name).append(handler)
    preferences.changed.append(_reconnect)
    colours.follow_views(_owner)
    # A file may be open already, with jobs and overlays, but while an add-on is enabled none can be looked at.
    bpy.app.timers.register(_first_look, first_interval=0.0)


def unregister() -> None:
    scratch.close_all()
    for look in (_first_look, look_again):
        if bpy.app.timers.is_registered(look):
            bpy.app.timers.unregister(look)
    preferences.changed.remove(_reconnect)
    bpy.msgbus.clear_by_owner(_owner)
    for name, handler in HANDLERS.items():
        getattr(bpy.app.handlers, name).remove(handler)
