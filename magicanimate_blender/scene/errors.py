"""What goes wrong with a scene, told to the person in front of it."""

from __future__ import annotations

from dataclasses import dataclass

from ..densepose.errors import DensePoseError


class SceneError(DensePoseError):
    """`message`: one sentence that names the object; `fix`: one sentence that says the way out."""


@dataclass(frozen=True)
class Note:
    """Something that does not stop the work but changes the picture; same two sentences as an error."""

    message: str
    fix: str
