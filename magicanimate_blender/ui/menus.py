"""Our entries in Blender's own menus."""

from __future__ import annotations

import bpy

from .operators import character, export, smplx


def register() -> None:
    bpy.types.VIEW3D_MT_armature_add.append(character.menu)
    bpy.types.TOPBAR_MT_file_import.append(smplx.menu)
    bpy.types.TOPBAR_MT_file_export.append(export.menu)


def unregister() -> None:
    bpy.types.TOPBAR_MT_file_export.remove(export.menu)
    bpy.types.TOPBAR_MT_file_import.remove(smplx.menu)
    bpy.types.VIEW3D_MT_armature_add.remove(character.menu)
