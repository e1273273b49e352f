"""The big button, and what is going on after it was clicked.

First in the tab, so that Animate, progress and Cancel are in view on the smallest screen, and nothing above moves them.
Within the panel all buttons come before all text.
"""

from __future__ import annotations

from pathlib import Path

import bpy

from ...animation import Animation, Snapshot, State
from ...results import uses_of
from .. import flow, messages, thumbnails
from ..delivery import PREVIEW
from ..engines import engine_for, known_engines, output_size, weights_for
from ..mends import mend_of
from ..messages import Message, message_of
from ..problems import Problem, first_problem
from ..request import frames_of
from ..runtime import Runtime, runtime
from ..scene_facts import facts
from .common import InSidebar, draw_mend, draw_mendable, message_box, reserved, spoken
from .results import pictures_are_seen

LINES = 3
"""Of text that a job may need at any time, kept free for it."""
INSTALL_LINES, LINE_LENGTH = 5, 120
"""Lines kept free for what an installation says, and how many letters of that are shown."""


class MAGICANIMATE_PT_animate(InSidebar, bpy.types.Panel):
    bl_label = "Animate"

    def draw(self, context: bpy.types.Context) -> None:
        column, scene, current = self.layout.column(), context.scene, runtime()
        problem, animation = first_problem(current, scene), current.current(scene)
        row = column.row()
        row.scale_y = 1.6
        row.operator("magicanimate.animate", icon="RENDER_ANIMATION")
        row = column.row(align=True)
        draw_next_step(row, problem, animation)
        if facts(scene).warnings:
            row.popover("MAGICANIMATE_PT_framing", text="", icon="ERROR")
        row = column.row(align=True)
        row.operator("magicanimate.preview_frame", text="Preview Frame")
        row.prop(scene.magicanimate, "live_preview", text="", icon="HIDE_OFF")
        row = column.row(align=True)
        row.operator("magicanimate.vary")
        row.prop(scene.magicanimate, "variations", text="")
        reserved(column, said(current, scene, problem, animation), LINES)
        if animation is not None:
            draw_trouble(column, current, animation)
        for message in (messages.current(), current.problem and message_of(current.problem)):
            if message:
                draw_mendable(column, message).operator("magicanimate.dismiss", icon="X")
        draw_install(column, current)


class MAGICANIMATE_PT_preview(InSidebar, bpy.types.Panel):
    """As high with a picture as without, so that the first one moves nothing."""

    bl_label = "Preview"
    bl_parent_id = "MAGICANIMATE_PT_animate"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        animation = runtime().current(context.scene)
        if animation is None:
            return False
        return not animation.poll().state.ended or picture_of(animation) is not None

    def draw(self, context: bpy.types.Context) -> None:
        animation = runtime().current(context.scene)
        if animation is not None:
            picture = thumbnails.icon(animation.id, picture_of(animation), animation.poll().preview_version)
            self.layout.template_icon(picture, scale=8.0)


class MAGICANIMATE_PT_delivery(InSidebar, bpy.types.Panel):
    bl_label = "When Done"
    bl_parent_id = "MAGICANIMATE_PT_animate"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        column, chosen = self.layout.column(), context.scene.magicanimate
        column.prop(chosen, "then", text="")
        column.prop(chosen, "cut_out")


def draw_next_step(row: bpy.types.UILayout, problem: Problem | None, animation: Animation | None) -> None:
    """In one row, always: the progress with Cancel, else the button that brings what is missing or goes on."""
    now = None if animation is None else animation.poll()
    if animation is not None and now is not None and not now.state.ended:
        split = row.split(factor=0.66, align=True)
        split.progress(factor=now.fraction, text=share_text(now))
        split.operator("magicanimate.cancel").job = animation.id
    elif problem is not None:
        if problem.mend is not None:
            draw_mend(row, problem.mend)
        else:
            row.label(text="")
    elif animation is not None and now is not None and now.state is not State.DONE:
        label = "Try Again" if now.state is State.FAILED else "Go On"
        row.operator("magicanimate.retry", text=label, icon="FILE_REFRESH").job = animation.id
    elif animation is not None and uses_of(animation.id).planes and not pictures_are_seen(bpy.context):
        row.operator("magicanimate.show_planes", icon="SHADING_TEXTURE")
    else:
        row.label(text="Ready" if now is None else now.state.title, icon="CHECKMARK")


def said(
    current: Runtime, scene: bpy.types.Scene, problem: Problem | None, animation: Animation | None
) -> list[tuple[str, str]]:
    """What there is to say of the job, or of the next one, with icons."""
    texts = [] if problem is None else [(problem.sentence, "INFO")]
    if animation is not None and (problem is None or not animation.poll().state.ended):
        texts += said_of(animation)
    elif problem is None:
        texts.append((plan_text(scene), "INFO"))
    others = [a for a, now in current.animations.poll() if not now.state.ended and a is not animation]
    if others:
        texts.append((f"{len(others)} more waiting", "SORTTIME"))
    return texts


def said_of(animation: Animation) -> list[tuple[str, str]]:
    now = animation.poll()
    notes = [(note, "DOT") for note in now.notes]
    if not now.state.ended:
        texts = ((progress_text(now), "TIME"), (now.plan, "INFO"), (now.message, "INFO"))
        return [each for each in texts if each[0]] + notes
    if now.state is State.FAILED:
        return notes
    kept = f", {now.frames_fetched} of {now.frames} frames are kept" if now.state is State.CANCELLED else ""
    icon = "X" if now.state is State.CANCELLED else "CHECKMARK"
    return [(f"{animation.spec.name}: {now.state.title.lower()}{kept}", icon), *notes]


def draw_trouble(layout: bpy.types.UILayout, current: Runtime, animation: Animation) -> None:
    """How a job failed, or what it waits for."""
    now = animation.poll()
    waiting = next((d.waiting for d in current.drawings if animation in d.consumers), None)
    if waiting is not None:  # for the end of Edit Mode, say
        draw_mendable(layout, message_of(waiting))
    if now.state is State.FAILED:
        draw_mendable(layout, Message(now.message, now.fix, now.code))
    elif not now.state.ended and (mend := mend_of(now.code)) is not None:  # a server that was lost
        draw_mend(layout, mend)


def picture_of(animation: Animation) -> Path | None:
    """The file to look at: of a preview of one frame that frame, else the server's preview."""
    now = animation.poll()
    if now.state is State.DONE and animation.spec.group == PREVIEW:
        return animation.folder.frame(flow.NEIGHBOURS)
    return now.preview


def plan_text(scene: bpy.types.Scene) -> str:
    """48 frames, 512 x 512, MagicAnimate"""
    weights = weights_for(scene.magicanimate, engine_for(scene.magicanimate, known_engines()))
    width, height = output_size(scene.magicanimate, weights)
    return f"{len(frames_of(scene))} frames, {width} × {height}, {weights.title}"


def share_text(now: Snapshot) -> str:
    """37 %, 4 min"""
    return f"{now.fraction:.0%}" + ("" if now.eta_s is None else f", {spoken(now.eta_s)}")


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
    split = box.split(factor=0.66, align=True)
    split.progress(factor=(now.step - 1 + share) / max(now.steps, 1), text=f"Step {now.step} of {now.steps}")
    split.operator("magicanimate.cancel_install")
    reserved(box, [(now.title, "IMPORT"), (now.line.removeprefix("== ")[:LINE_LENGTH], "BLANK1")], INSTALL_LINES)


CLASSES = (MAGICANIMATE_PT_animate, MAGICANIMATE_PT_preview, MAGICANIMATE_PT_delivery)
