"""The view layer and dependency graph of a scene, also where the context is another scene's (timers, scripts).

Never by `temp_override`: Blender's operators, and the dependency graph's update, let other Python threads run, and on
Python 3.11 (Blender up to 5.0) they then read the override's dictionary without the interpreter's lock. With threads
of ours at work that corrupts Python's memory: a segmentation fault there or soon after.
"""

from __future__ import annotations

import bpy


def view_layer_of(scene: bpy.types.Scene) -> bpy.types.ViewLayer:
    """The view layer that the person looks at, if a window shows the scene; else its first."""
    if bpy.context.scene == scene and bpy.context.view_layer is not None:
        return bpy.context.view_layer
    for window in bpy.context.window_manager.windows:
        if window.scene == scene:
            return window.view_layer
    return scene.view_layers[0]


def depsgraph_of(scene: bpy.types.Scene) -> bpy.types.Depsgraph:
    """The scene's dependency graph (the viewport's, the only one a script can have), brought up to date."""
    if bpy.context.scene == scene:
        return bpy.context.evaluated_depsgraph_get()
    view_layer = view_layer_of(scene)
    view_layer.update()
    return view_layer.depsgraph
