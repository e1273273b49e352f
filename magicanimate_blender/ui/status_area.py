"""Have Blender's status bars drawn again: they are among no screen's areas, so that nothing can tag them.

What draws them again is setting their text, here to none. That takes its window from the context, which a timer has
not, so this is the one `temp_override` of the add-on: nothing inside lets other threads run, see scene/context.py.
"""

from __future__ import annotations

import bpy


def redraw() -> None:
    """Not in a window where an operator runs, whose text it may be."""
    for window in bpy.context.window_manager.windows:
        if not window.modal_operators:
            with bpy.context.temp_override(window=window):
                window.workspace.status_text_set_internal(None)
