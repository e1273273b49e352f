"""The rows of the results lists: ids only, in the window manager, so that they are neither saved nor undone.

Each scene has a list with a selection of its own: two windows may show two scenes at once.
"""

from __future__ import annotations

import bpy
from bpy.props import CollectionProperty, IntProperty

from ..animation import Record
from .delivery import PREVIEW
from .runtime import Runtime

LISTS = 32
"""Scenes whose lists are kept. All are made at once: buttons point into a list, which another one must not move."""


class ResultRow(bpy.types.PropertyGroup):
    """`name` is the job's id."""


class ResultsList(bpy.types.PropertyGroup):
    """`name` is the session id of its scene."""

    rows: CollectionProperty(type=ResultRow)
    index: IntProperty(name="Result")


def sync(current: Runtime, scene: bpy.types.Scene) -> None:
    """Bring the scene's rows in line with the results on disk.

    The selection stays on its result; a new result is selected.
    """
    shown_list = list_of(scene) or _new_list(scene)
    wanted = [record.id for record in shown(current, scene)]
    present = [row.name for row in shown_list.rows]
    if wanted == present:
        return
    before = selected(scene)
    shown_list.rows.clear()
    for job in wanted:
        shown_list.rows.add().name = job
    newest_is_new = bool(wanted) and wanted[0] not in present
    shown_list.index = wanted.index(before) if before in wanted and not newest_is_new else 0


def list_of(scene: bpy.types.Scene) -> ResultsList | None:
    """The scene's list; None before its first `sync`."""
    return bpy.context.window_manager.magicanimate_results.get(str(scene.session_uid))


def selected(scene: bpy.types.Scene) -> str:
    """Id of the result that is selected in the scene's list, or ""."""
    shown_list = list_of(scene)
    if shown_list is None or not 0 <= shown_list.index < len(shown_list.rows):
        return ""
    return shown_list.rows[shown_list.index].name


def shown(current: Runtime, scene: bpy.types.Scene) -> list[Record]:
    """Results of the scene, or all, newest first."""
    mine = scene.magicanimate
    records = (record for record in current.records() if record.spec.group != PREVIEW)
    return [record for record in records if mine.all_scenes or record.id in mine.jobs]


def _new_list(scene: bpy.types.Scene) -> ResultsList:
    """A list that no scene of the open file has, else the first."""
    lists = bpy.context.window_manager.magicanimate_results
    while len(lists) < LISTS:
        lists.add()
    scenes = {str(each.session_uid) for each in bpy.data.scenes}
    free = next((each for each in lists if each.name not in scenes), lists[0])
    free.name, free.index = str(scene.session_uid), 0
    free.rows.clear()
    return free


CLASSES = (ResultRow, ResultsList)


def register() -> None:
    for each in CLASSES:
        bpy.utils.register_class(each)
    bpy.types.WindowManager.magicanimate_results = CollectionProperty(type=ResultsList)


def unregister() -> None:
    del bpy.types.WindowManager.magicanimate_results
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
