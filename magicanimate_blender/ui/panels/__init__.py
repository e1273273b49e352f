"""The tab MagicAnimate in the 3D view's sidebar, panels in the order of work; and the add-on's preferences."""

import bpy

from . import animate, character, frames, preferences, quality, reference, results, server, welcome

CLASSES = tuple(
    each
    for module in (welcome, character, reference, frames, quality, animate, results, server, preferences)
    for each in module.CLASSES
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
