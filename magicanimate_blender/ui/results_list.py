"""The rows of the results list: ids only, in the window manager, so that they are neither saved nor undone."""

from __future__ import annotations

import bpy
from bpy.props import CollectionProperty, IntProperty

from ..animation import Record
from .delivery import PREVIEW
from .runtime import Runtime


class ResultRow(bpy.types.PropertyGroup):
    """`name` is the job's id."""


def sync(current: Runtime, scene: bpy.types.Scene) -> None:
    """Bring the rows in line with the results on disk; the selection stays on its result, a new one is selected."""
    manager = bpy.context.window_manager
    rows = manager.magicanimate_results
    wanted = [record.id for record in shown(current, scene)]
    present = [row.name for row in rows]
    if wanted == present:
        return
    index = manager.magicanimate_result
    selected = present[index] if 0 <= index < len(present) else ""
    rows.clear()
    for job in wanted:
        rows.add().name = job
    newest_is_new = bool(wanted) and wanted[0] not in present
    manager.magicanimate_result = wanted.index(selected) if selected in wanted and not newest_is_new else 0


def shown(current: Runtime, scene: bpy.types.Scene) -> list[Record]:
    """Results of the scene, or all, newest first."""
    mine = scene.magicanimate
    records = (record for record in current.records() if record.spec.group != PREVIEW)
    return [record for record in records if mine.all_scenes or record.id in mine.jobs]


def register() -> None:
    bpy.utils.register_class(ResultRow)
    bpy.types.WindowManager.magicanimate_results = CollectionProperty(type=ResultRow)
    bpy.types.WindowManager.magicanimate_result = IntProperty(name="Result")


def unregister() -> None:
    del bpy.types.WindowManager.magicanimate_result
    del bpy.types.WindowManager.magicanimate_results
    bpy.utils.unregister_class(ResultRow)
