"""The heartbeat: pumps jobs, draws part maps, delivers results, always on Blender's main thread."""

from __future__ import annotations

import logging

import bpy

from ..animation import Animation, Snapshot, State
from ..client import ClientError
from ..densepose.errors import DensePoseError
from . import (
    engine_settings,
    engines,
    live_preview,
    messages,
    overlay,
    results_list,
    runtime,
    scene_facts,
    thumbnails,
)
from .delivery import delivery_of
from .messages import Message

log = logging.getLogger(__name__)
DRAWING, BUSY, IDLE = 0.0, 0.1, 0.3
"""Seconds between beats."""

_shown: object = None


def tick() -> float:
    """One beat. A mistake of ours is logged and never stops the heart."""
    try:
        return _beat()
    except Exception:
        log.exception("timer")
        return IDLE


def _beat() -> float:
    current = runtime.active()
    if current is None:
        return IDLE
    pump(current)
    engines.learn_engines(current.watch.status.engines)
    for window in bpy.context.window_manager.windows[:]:
        scene = window.scene
        engine = engines.engine_for(scene.magicanimate, engines.known_engines())
        engine_settings.use_schema(engine.settings_schema)
        engine_settings.follow_weights(scene)
        scene_facts.refresh(scene)
        if scene.magicanimate.show_overlay:
            overlay.follow(scene, scene_facts.facts(scene).characters)
        results_list.sync(current, scene)
        live_preview.consider(current, scene)
    if thumbnails.load_wanted():
        redraw()
    _redraw_if_changed(current)
    if any(drawing.waiting is None for drawing in current.drawings):
        return DRAWING
    return BUSY if current.busy() else IDLE


def pump(current: runtime.Runtime) -> None:
    """Move everything on by a little; what a loop does in background mode."""
    for drawing in list(current.drawings):
        drawing.work()
        if drawing.note is not None:
            messages.tell(Message(drawing.note.message, drawing.note.fix))
            drawing.note = None
        if drawing.error is not None:
            for taker in drawing.takers:
                taker.cancel()
            messages.tell(drawing.error)
        if drawing.done:
            current.drawings.remove(drawing)
            for taker in drawing.takers:
                if isinstance(taker, Animation):
                    current.depths[taker.id] = drawing.nearest
    current.end_task()
    for animation, now in current.animations.poll():
        if now.state.ended and animation.id not in current.noticed:
            current.noticed.add(animation.id)
            _notice(current, animation, now)
    if current.deliveries:
        _deliver(current)


def _notice(current: runtime.Runtime, animation: Animation, now: Snapshot) -> None:
    """A job has ended."""
    current.forget_records()
    thumbnails.forget(animation.id)
    if now.state is State.DONE:
        delivery = delivery_of(current, animation.record)
        if delivery is not None:
            current.deliveries.append(delivery)


def _deliver(current: runtime.Runtime) -> None:
    """The next step of the first delivery."""
    try:
        if not current.deliveries[0].step():
            return
    except (ClientError, DensePoseError) as error:
        current.deliveries.popleft()
        messages.tell(error)
        return
    undoable = True  # so that undo takes back the delivery alone, not what the person did before it
    bpy.ops.magicanimate.deliver("EXEC_DEFAULT", undoable)


def _redraw_if_changed(current: runtime.Runtime) -> None:
    global _shown
    task = current.installation.task
    shown = (
        [now for _, now in current.animations.poll()],
        [(len(drawing.takers), drawing.waiting and drawing.waiting.message) for drawing in current.drawings],
        dict(current.plans),
        current.watch.status.version,
        task and task.poll(),
        current.installed(),
        current.task,
        current.problem,
        messages.current(),
        scene_facts.version(),
    )
    if shown != _shown:
        _shown = shown
        redraw()


def redraw() -> None:
    """Draw the sidebars and the preferences again."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions if area.type in ("VIEW_3D", "PREFERENCES") else ():
                if region.type == "UI" or area.type == "PREFERENCES":
                    region.tag_redraw()


def register() -> None:
    if not bpy.app.background:
        bpy.app.timers.register(tick, first_interval=BUSY, persistent=True)


def unregister() -> None:
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
