"""Everything that a person sees and clicks. The only package that may import all others; nobody imports it."""

import bpy

from . import (
    command_line,
    deletion,
    engine_settings,
    geometry,
    handlers,
    menus,
    operators,
    overlay,
    panels,
    presets,
    results_list,
    runtime,
    settings,
    signals,
    thumbnails,
    timer,
)

MODULES = (
    signals,
    settings,
    engine_settings,
    results_list,
    thumbnails,
    operators,
    panels,
    presets,
    menus,
    geometry,
    overlay,
    runtime,
    deletion,
    handlers,
    timer,
    command_line,
)


def register() -> None:
    for module in MODULES:
        module.register()
    # A file may be open already, with jobs and overlays; but while Blender starts, none can be looked at.
    if hasattr(bpy.data, "scenes"):
        handlers.after_load()


def unregister() -> None:
    for module in reversed(MODULES):
        module.unregister()
