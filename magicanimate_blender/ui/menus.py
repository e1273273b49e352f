"""Our entries in Blender's own menus, and ESC."""

from __future__ import annotations

import bpy

from .operators import character, export, smplx

_keys: list[tuple[bpy.types.KeyMap, bpy.types.KeyMapItem]] = []


def register() -> None:
    bpy.types.VIEW3D_MT_armature_add.append(character.menu)
    bpy.types.TOPBAR_MT_file_import.append(smplx.menu)
    bpy.types.TOPBAR_MT_file_export.append(export.menu)
    configuration = bpy.context.window_manager.keyconfigs.addon
    if configuration is not None:  # in background there are no keys
        keymap = configuration.keymaps.new("3D View Generic", space_type="VIEW_3D")
        # Only while an animation runs: the operator's poll lets the key through at any other time.
        _keys.append((keymap, keymap.keymap_items.new("magicanimate.cancel", "ESC", "PRESS")))


def unregister() -> None:
    for keymap, item in _keys:
        keymap.keymap_items.remove(item)
    _keys.clear()
    bpy.types.TOPBAR_MT_file_export.remove(export.menu)
    bpy.types.TOPBAR_MT_file_import.remove(smplx.menu)
    bpy.types.VIEW3D_MT_armature_add.remove(character.menu)
