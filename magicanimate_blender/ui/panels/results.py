"""What was animated so far."""

from __future__ import annotations

from typing import Any

import bpy

from ...animation import Record, State
from ...results import uses_of
from .. import clips, engine_settings, results_list, thumbnails
from ..messages import Message
from ..operators.common import selected
from ..runtime import runtime
from .common import InSidebar, message_box, spoken, wrapped

STATE_ICONS = {State.DONE: "CHECKMARK", State.FAILED: "ERROR", State.CANCELLED: "X"}


class MAGICANIMATE_UL_results(bpy.types.UIList):
    def draw_item(
        self, context: Any, layout: Any, data: Any, item: Any, icon: int, active_data: Any, active_property: str
    ) -> None:
        record = runtime().record(item.name)
        if record is None:
            layout.label(text="gone", icon="QUESTION")
            return
        history = runtime().animations.history
        picture = thumbnails.icon(record.id, history.thumbnail(record))
        title = record.spec.name or "Animation"
        if record.spec.group:  # what its variations differ by comes first: the end may be cut off
            title = f"{record.seed}: {title}"
        if picture and record.state is State.DONE:
            layout.label(text=title, icon_value=picture, translate=False)
        else:
            layout.label(text=title, icon=STATE_ICONS.get(record.state, "TIME"), translate=False)


class MAGICANIMATE_PT_results(InSidebar, bpy.types.Panel):
    bl_label = "Results"

    def draw(self, context: bpy.types.Context) -> None:
        column, shown = self.layout.column(), results_list.list_of(context.scene)
        if shown is not None:  # made at the first beat
            column.template_list("MAGICANIMATE_UL_results", "", shown, "rows", shown, "index", rows=3)
        column.prop(context.scene.magicanimate, "all_scenes")
        record = runtime().record(selected(context)) if selected(context) else None
        if record is not None:
            draw_result(column, context, record)


def draw_result(layout: bpy.types.UILayout, context: bpy.types.Context, record: Record) -> None:
    """Every button names its result: another one may be selected between the drawing and the click."""
    picture = thumbnails.icon(record.id, runtime().animations.history.thumbnail(record))
    if picture:
        layout.template_icon(picture, scale=8.0)
    spec = record.spec
    took = "" if record.seconds is None else f", {spoken(record.seconds)}"
    wrapped(layout, f"{spec.frames} frames, {spec.width} × {spec.height}, seed {record.seed}{took}")
    if record.demo_weights:
        wrapped(layout, "Made with demo weights", "INFO")
    if record.problem:
        message_box(layout, Message(record.problem, ""))
    if record.state is State.DONE:
        draw_actions(layout, context, record)
    elif record.state.ended:
        layout.operator("magicanimate.retry", icon="FILE_REFRESH").job = record.id
    row = layout.row(align=True)
    row.operator("magicanimate.reveal_result").job = record.id
    if record.state.ended:
        row.operator("magicanimate.delete_result").job = record.id


def draw_actions(layout: bpy.types.UILayout, context: bpy.types.Context, record: Record) -> None:
    chosen = context.scene.magicanimate
    row = layout.row(align=True)
    row.operator("magicanimate.show_result", icon="PLAY").job = record.id
    row.menu("MAGICANIMATE_MT_compare")
    layout.operator_menu_enum("magicanimate.use_result", "kind", text="Use As", icon="IMPORT").job = record.id
    uses = uses_of(record.id)
    if uses:
        counts = (("plane", uses.planes), ("compositor node", uses.compositor_nodes), ("strip", uses.strips))
        said = [f"{count} {name}{'s' if count > 1 else ''}" for name, count in counts if count]
        wrapped(layout, "In use: " + (", ".join(said) or "image sequence"), "LINKED")
    if uses.planes and not pictures_are_seen(context):
        layout.operator("magicanimate.show_planes", icon="SHADING_TEXTURE")
    box = layout.box().column()
    row = box.row()
    row.scale_y = 1.2
    row.operator("magicanimate.regenerate", icon="FILE_REFRESH").job = record.id
    row.operator("magicanimate.check_changes", text="", icon="QUESTION").job = record.id
    plan = runtime().plans.get(record.id)
    if plan:
        wrapped(box, plan, "INFO")
    for marks in ("redo", "keep"):
        row = box.row(align=True)
        row.prop(chosen, marks)
        row.operator("magicanimate.mark_frame", text="", icon="ADD").marks = marks
    if chosen.redo and "redo_seed" in engine_settings.names():
        box.prop(engine_settings.group(context.scene), "redo_seed")
    if record.spec.group:
        draw_group(layout, record)


def pictures_are_seen(context: bpy.types.Context) -> bool:
    """Whether the 3D view that the panel is in shows textures as a render does."""
    return context.space_data.shading.type in ("MATERIAL", "RENDERED")


def draw_group(layout: bpy.types.UILayout, record: Record) -> None:
    """The variations that belong together, to choose from."""
    group = [r for r in runtime().records() if r.spec.group == record.spec.group and r.state is State.DONE]
    layout.label(text="Choose by the seed:")
    grid = layout.grid_flow(columns=2, even_columns=True, align=True)
    for each in sorted(group, key=lambda r: r.created):
        cell = grid.column(align=True)
        picture = thumbnails.icon(each.id, runtime().animations.history.thumbnail(each))
        if picture:
            cell.template_icon(picture, scale=5.0)
        cell.operator("magicanimate.promote", text=str(each.seed), translate=False).job = each.id


class MAGICANIMATE_MT_compare(bpy.types.Menu):
    bl_label = "Compare"

    def draw(self, context: bpy.types.Context) -> None:
        job = selected(context)
        others = [r for r in runtime().records() if r.state is State.DONE and r.id != job]
        for record in others[:20]:
            button = self.layout.operator("magicanimate.compare_results", text=clips.title_of(record), translate=False)
            button.job, button.other = job, record.id
        if not others:
            self.layout.label(text="There is no other result")


CLASSES = (MAGICANIMATE_UL_results, MAGICANIMATE_PT_results, MAGICANIMATE_MT_compare)
