"""The big button, and what is going on after it was clicked."""

from __future__ import annotations

import bpy

from ...animation import Animation, Snapshot, State
from ...results import uses_of
from .. import flow, messages, thumbnails
from ..delivery import PREVIEW
from ..mends import mend_of
from ..messages import Message, message_of
from ..problems import first_problem
from ..runtime import Runtime, runtime
from .common import InSidebar, draw_mend, draw_mendable, message_box, spoken, wrapped
from .results import pictures_are_seen


class MAGICANIMATE_PT_animate(InSidebar, bpy.types.Panel):
    bl_label = "Animate"

    def draw(self, context: bpy.types.Context) -> None:
        column, scene, current = self.layout.column(), context.scene, runtime()
        problem = first_problem(current, scene)
        row = column.row()
        row.scale_y = 1.8
        row.operator("magicanimate.animate", icon="RENDER_ANIMATION")
        if problem is not None:
            wrapped(column, problem.sentence, "INFO")
            if problem.mend is not None:
                row = column.row()
                row.scale_y = 1.2
                draw_mend(row, problem.mend)
        draw_install(column, current)
        for message in (messages.current(), current.problem and message_of(current.problem)):
            if message:
                draw_mendable(column, message).operator("magicanimate.dismiss", icon="X")
        animation = current.current(scene)
        if animation is not None:
            draw_job(column, current, animation)
        waiting = [a for a, now in current.animations.poll() if not now.state.ended and a is not animation]
        if waiting:
            column.label(text=f"{len(waiting)} more waiting", icon="SORTTIME")
        row = column.row(align=True)
        row.operator("magicanimate.preview_frame", text="Preview Frame")
        row.prop(scene.magicanimate, "live_preview", text="", icon="HIDE_OFF")
        row = column.row(align=True)
        row.operator("magicanimate.vary")
        row.prop(scene.magicanimate, "variations", text="")


class MAGICANIMATE_PT_delivery(InSidebar, bpy.types.Panel):
    bl_label = "When Done"
    bl_parent_id = "MAGICANIMATE_PT_animate"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        column, chosen = self.layout.column(), context.scene.magicanimate
        column.prop(chosen, "then", text="")
        column.prop(chosen, "cut_out")


def draw_job(layout: bpy.types.UILayout, current: Runtime, animation: Animation) -> None:
    """One job: what it does, how far it is, what it looks like, and how to end or mend it."""
    now = animation.poll()
    box = layout.box().column()
    picture = thumbnails.icon(animation.id, now.preview, now.preview_version)
    if picture and not now.state.ended:
        box.template_icon(picture, scale=8.0)
    if now.state is State.FAILED:
        draw_mendable(box, Message(now.message, now.fix, now.code))
        box.operator("magicanimate.retry", icon="FILE_REFRESH").job = animation.id
    elif now.state is State.DONE and animation.spec.group == PREVIEW:
        box.template_icon(thumbnails.icon(animation.id, animation.folder.frame(flow.NEIGHBOURS)), scale=8.0)
        wrapped(box, animation.spec.name)
    elif now.state.ended:
        note = "" if now.state is not State.CANCELLED else f", {now.frames_fetched} of {now.frames} frames are kept"
        wrapped(box, f"{animation.spec.name}: {now.state.title.lower()}{note}", "CHECKMARK" if not note else "X")
        if uses_of(animation.id).planes and not pictures_are_seen(bpy.context):
            box.operator("magicanimate.show_planes", icon="SHADING_TEXTURE")
        if note:
            box.operator("magicanimate.retry", text="Go On", icon="FILE_REFRESH").job = animation.id
    else:
        box.progress(factor=now.fraction, text=progress_text(now))
        if now.eta_s is not None:
            box.label(text=f"{spoken(now.eta_s)} left", icon="TIME")
        if now.plan:
            wrapped(box, now.plan, "INFO")
        if now.message:
            wrapped(box, now.message, "INFO")
        if (mend := mend_of(now.code)) is not None:  # a server that was lost, say: the job waits for it
            draw_mend(box, mend)
        box.operator("magicanimate.cancel", icon="CANCEL").job = animation.id
    for note in now.notes:
        wrapped(box, note, "DOT")


def progress_text(now: Snapshot) -> str:
    """Animating, step 3 of 25"""
    if now.cancelling:
        return "Cancelling"
    if now.state is State.DRAWING and now.steps:
        return f"{now.title}: {now.step} of {now.steps}"
    if now.state is State.QUEUED and now.position:
        wait = "" if now.wait_s is None else f", starts in about {spoken(now.wait_s)}"
        return f"{now.title}: {now.position} before it{wait}"
    if now.state is State.RUNNING and now.frames_done:
        return f"{now.title}: frame {now.frames_done} of {now.frames}"
    if now.state is State.RUNNING and now.steps:
        return f"{now.title}: step {now.step} of {now.steps}"
    return now.title


def draw_install(layout: bpy.types.UILayout, current: Runtime) -> None:
    """The server's installation while it runs, and how it failed."""
    task = current.installation.task
    if task is None:
        return
    now = task.poll()
    if now.ended and not now.code:
        return
    box = layout.box().column()
    if now.ended:
        message_box(box, Message(now.message, now.fix))
        row = box.row()
        row.operator("magicanimate.install_server", text="Go On Installing")
        row.operator("magicanimate.show_log").installing = True
        return
    share = now.fraction or 0.0
    box.progress(factor=(now.step - 1 + share) / max(now.steps, 1), text=f"{now.title} ({now.step} of {now.steps})")
    wrapped(box, now.line.removeprefix("== ")[:120], "BLANK1")
    box.operator("magicanimate.cancel_install", icon="CANCEL")


CLASSES = (MAGICANIMATE_PT_animate, MAGICANIMATE_PT_delivery)
