"""What operators share: telling errors, finding the result they are about."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import bpy

from ...animation import Record
from ...client import ClientError
from ...densepose.errors import DensePoseError
from .. import messages, results_list, timer
from ..runtime import runtime
from ..settings import scene_of

Execute = Callable[[Any, bpy.types.Context], set[str]]


def tells_errors(execute: Execute) -> Execute:
    """Report what the person can mend, instead of a traceback; an older message in the panel goes away."""

    @wraps(execute)
    def wrapped(self: Any, context: bpy.types.Context) -> set[str]:
        messages.clear()
        try:
            return execute(self, context)
        except (ClientError, DensePoseError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        finally:
            timer.redraw()

    return wrapped


class OfResult:
    """Mixin: an operator about one result, by id; without one, about the result that is selected in the list."""

    job: bpy.props.StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    def record(self, context: bpy.types.Context) -> Record:
        """Raises FileProblem if it is gone."""
        return runtime().animations.history.get(self.job or selected(context))

    def scene(self, context: bpy.types.Context) -> bpy.types.Scene:
        """The scene that the result was made in, else the present one."""
        return scene_of(self.job or selected(context)) or context.scene

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.scene is not None


def selected(context: bpy.types.Context) -> str:
    """Id of the result that is selected in the list of the window's scene, or ""."""
    return results_list.selected(context.scene)
