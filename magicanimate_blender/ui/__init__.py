"""Everything that a person sees and clicks. The only package that may import all others; nobody imports it."""

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


def unregister() -> None:
    for module in reversed(MODULES):
        module.unregister()
