"""Animate, cancel, retry; regenerate, variations, preview.

What starts a job makes no undo step: it changes nothing that the person made, and Ctrl Z is theirs.
"""

from __future__ import annotations

import random

import bpy

from ...animation import PRESETS
from ...animation.spec import MAX_SEED
from .. import engine_settings, flow, messages
from ..problems import first_problem
from ..runtime import active, runtime
from .common import OfResult, tells_errors


class MAGICANIMATE_OT_animate(bpy.types.Operator):
    bl_idname = "magicanimate.animate"
    bl_label = "Animate"
    bl_description = "Make a video of the person in the reference picture that moves like the character"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        problem = first_problem(runtime(), context.scene)
        if problem is not None:
            cls.poll_message_set(problem.sentence)
        return problem is None

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        flow.animate(runtime(), context.scene)
        return {"FINISHED"}


class MAGICANIMATE_OT_preview_frame(bpy.types.Operator):
    bl_idname = "magicanimate.preview_frame"
    bl_label = "Preview This Frame"
    bl_description = "Animate the current frame with its neighbours in draft quality"
    bl_options = {"REGISTER"}
    poll = MAGICANIMATE_OT_animate.poll

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        flow.preview_frame(runtime(), context.scene)
        return {"FINISHED"}


class MAGICANIMATE_OT_vary(bpy.types.Operator):
    bl_idname = "magicanimate.vary"
    bl_label = "Variations"
    bl_description = "Animate with several seeds, to choose from"
    bl_options = {"REGISTER"}
    poll = MAGICANIMATE_OT_animate.poll

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        flow.vary(runtime(), context.scene, context.scene.magicanimate.variations)
        return {"FINISHED"}


class MAGICANIMATE_OT_regenerate(OfResult, bpy.types.Operator):
    bl_idname = "magicanimate.regenerate"
    bl_label = "Regenerate"
    bl_description = (
        "Animate again, computing only the frames that changed; wherever the result is shown, it is renewed"
    )
    bl_options = {"REGISTER"}

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        flow.regenerate(runtime(), self.scene(context), self.record(context))
        return {"FINISHED"}


class MAGICANIMATE_OT_check_changes(OfResult, bpy.types.Operator):
    bl_idname = "magicanimate.check_changes"
    bl_label = "What Changed?"
    bl_description = "Find out which frames regenerating would compute, without starting it"
    bl_options = {"REGISTER"}

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        flow.check_changes(runtime(), self.scene(context), self.record(context))
        return {"FINISHED"}


class MAGICANIMATE_OT_promote(OfResult, bpy.types.Operator):
    bl_idname = "magicanimate.promote"
    bl_label = "Choose"
    bl_description = "Animate this variation again, with its seed, in the best quality"
    bl_options = {"REGISTER"}

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        flow.promote(runtime(), self.scene(context), self.record(context))
        return {"FINISHED"}


class MAGICANIMATE_OT_cancel(bpy.types.Operator):
    bl_idname = "magicanimate.cancel"
    bl_label = "Cancel"
    bl_description = "End this animation; frames that are finished are kept"
    bl_options = {"REGISTER"}

    job: bpy.props.StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        current = active()  # the status bar's job may be another scene's
        return current is not None and current.animations.busy()

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        animation = runtime().animations.get(self.job) or runtime().current(context.scene)
        if animation is not None:
            animation.cancel()
        return {"FINISHED"}


class MAGICANIMATE_OT_retry(OfResult, bpy.types.Operator):
    bl_idname = "magicanimate.retry"
    bl_label = "Try Again"
    bl_description = "Go on where this animation ended"
    bl_options = {"REGISTER"}

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        current = runtime()
        animation = current.animations.resume(self.job)
        if animation.missing_maps():  # ended while they were drawn: the scene may be another by now
            flow.animate(current, self.scene(context))
            return {"FINISHED"}
        current.noticed.discard(animation.id)
        animation.retry()
        return {"FINISHED"}


class MAGICANIMATE_OT_use_preset(bpy.types.Operator):
    bl_idname = "magicanimate.use_preset"
    bl_label = "Use Quality"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    preset: bpy.props.EnumProperty(items=[(p.id, p.title, p.description) for p in PRESETS])

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        return next(preset.description for preset in PRESETS if preset.id == properties.preset)

    def execute(self, context: bpy.types.Context) -> set[str]:
        flow.use_preset(context.scene, next(preset for preset in PRESETS if preset.id == self.preset))
        return {"FINISHED"}


class MAGICANIMATE_OT_roll_seed(bpy.types.Operator):
    bl_idname = "magicanimate.roll_seed"
    bl_label = "Another Seed"
    bl_description = "Draw a seed by chance"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        engine_settings.assign(context.scene, {"seed": random.randint(0, MAX_SEED)})
        return {"FINISHED"}


class MAGICANIMATE_OT_dismiss(bpy.types.Operator):
    bl_idname = "magicanimate.dismiss"
    bl_label = "Dismiss"
    bl_description = "Take this message away"
    bl_options = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        messages.clear()
        runtime().problem = None
        return {"FINISHED"}


CLASSES = (
    MAGICANIMATE_OT_animate,
    MAGICANIMATE_OT_preview_frame,
    MAGICANIMATE_OT_vary,
    MAGICANIMATE_OT_regenerate,
    MAGICANIMATE_OT_check_changes,
    MAGICANIMATE_OT_promote,
    MAGICANIMATE_OT_cancel,
    MAGICANIMATE_OT_retry,
    MAGICANIMATE_OT_use_preset,
    MAGICANIMATE_OT_roll_seed,
    MAGICANIMATE_OT_dismiss,
)
