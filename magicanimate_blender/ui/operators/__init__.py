"""Operators by subject. Each is thin: it calls a plain function and tells what went wrong."""

import bpy

from . import animate, character, demo, export, frames, general, obstacles, reference, results, server, smplx, weights

CLASSES = tuple(
    each
    for module in (
        animate,
        character,
        demo,
        export,
        frames,
        general,
        obstacles,
        reference,
        results,
        server,
        smplx,
        weights,
    )
    for each in module.CLASSES
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
