"""The tab MagicAnimate in the 3D view's sidebar, the status bar's part, and the add-on's preferences.

In the tab Animate comes first, for small screens; then panels in the order of work.
"""

import bpy

from . import animate, character, frames, preferences, quality, reference, results, server, status_bar, welcome

CLASSES = tuple(
    each
    for module in (welcome, animate, character, reference, frames, quality, results, server, preferences)
    for each in module.CLASSES
)

_register, _unregister = bpy.utils.register_classes_factory(CLASSES)


def register() -> None:
    _register()
    status_bar.register()


def unregister() -> None:
    status_bar.unregister()
    _unregister()
