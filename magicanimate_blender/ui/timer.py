"""The heartbeat: pumps jobs, draws part maps, delivers results, always on Blender's main thread."""

from __future__ import annotations

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
    status_area,
    thumbnails,
)
from .delivery import delivery_of
from .drawing import Drawing
from .messages import Message, guarded

DRAWING, BUSY, IDLE = 0.0, 0.1, 0.3
"""Seconds between beats."""

_shown: object = None


def tick() -> float:
    """One beat. A mistake of ours is told and never stops the heart."""
    with guarded("looking after the jobs"):
        return _beat()
    return IDLE


def _beat() -> float:
    current = runtime.active()
    if current is None:
        return IDLE
    pump(current)
    with guarded("learning about the engines"):
        engines.learn_engines(current.watch.status.engines)
    for window in bpy.context.window_manager.windows[:]:
        _look_after(current, window.scene)
    with guarded("reading pictures"):
        if thumbnails.load_wanted():
            redraw()
    _redraw_if_changed(current)
    if any(drawing.waiting is None for drawing in current.drawings):
        return DRAWING
    return BUSY if current.busy() or thumbnails.reading() else IDLE


def _look_after(current: runtime.Runtime, scene: bpy.types.Scene) -> None:
    """What a window shows of its scene."""
    with guarded("reading the settings"):
        engine = engines.engine_for(scene.magicanimate, engines.known_engines())
        engine_settings.use_schema(engine.settings_schema)
        engine_settings.follow_weights(scene)
    with guarded("looking at the scene"):
        scene_facts.refresh(scene)
        if scene.magicanimate.show_overlay:
            overlay.follow(scene, scene_facts.facts(scene).characters)
    with guarded("listing the results"):
        results_list.sync(current, scene)
    with guarded("previewing the frame"):
        live_preview.consider(current, scene)


def pump(current: runtime.Runtime) -> None:
    """Move everything on by a little; what a loop does in background mode.

    One thing that goes wrong ends itself alone: all others go on at this beat, and it does not come again.
    """
    for drawing in list(current.drawings):
        with guarded("drawing part maps"):
            try:
                _draw_on(current, drawing)
            except Exception:
                _give_up(current, drawing)
                raise
    current.end_task()
    for animation, now in current.animations.poll():
        if now.state.ended and animation.id not in current.noticed:
            current.noticed.add(animation.id)
            with guarded("placing a result"):
                _notice(current, animation, now)
    if current.deliveries:
        first = current.deliveries[0]
        with guarded("placing a result"):
            try:
                _deliver(current)
            except Exception:
                if current.deliveries and current.deliveries[0] is first:
                    current.deliveries.popleft()
                raise


def _draw_on(current: runtime.Runtime, drawing: Drawing) -> None:
    drawing.work()
    if drawing.note is not None:
        messages.tell(Message(drawing.note.message, drawing.note.fix))
        drawing.note = None
    if drawing.error is not None:
        for consumer in drawing.consumers:
            consumer.cancel()
        messages.tell(drawing.error)
    if drawing.done:
        current.drawings.remove(drawing)
        for consumer in drawing.consumers:
            if isinstance(consumer, Animation):
                current.depths[consumer.id] = drawing.nearest


def _give_up(current: runtime.Runtime, drawing: Drawing) -> None:
    """A job whose part maps can't be drawn has no use for those that were."""
    if drawing in current.drawings:
        current.drawings.remove(drawing)
    drawing.cancel()
    for consumer in drawing.consumers:
        consumer.cancel()


def _notice(current: runtime.Runtime, animation: Animation, now: Snapshot) -> None:
    """A job has ended."""
    current.forget_records()
    thumbnails.forget(animation.id)
    if now.state is State.DONE:
        delivery = delivery_of(current, animation.record)
        if delivery is not None:
            current.deliveries.append(delivery)
    animation.release()


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
        [(len(drawing.consumers), drawing.waiting and drawing.waiting.message) for drawing in current.drawings],
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
        status_area.redraw()


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
