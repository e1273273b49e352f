"""What is known of the characters' meshes between frames, for everybody who draws part maps of a scene.

Measuring a character and cutting its faces along the borders of its parts takes a quarter of a second: it is done once,
the longer half of it in a thread, and again only after somebody edited a mesh.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import bpy

from ..densepose.errors import DensePoseError
from ..scene.borders import CutMesh, cut_measured
from ..scene.characters import Character
from ..scene.evaluate import GeometryCache
from ..scene.evaluation import shape_of
from ..scene.identity import find_object
from ..scene.labels import is_character_labelled, label_character, measure

_cache = GeometryCache()
_cutting: dict[Character, Future[dict[str, CutMesh]]] = {}
_shapes: dict[Character, str] = {}
"""What each character looked like when it was measured."""
_pool: ThreadPoolExecutor | None = None


def cache() -> GeometryCache:
    """For reading frames; only of characters that are `ready`, or it takes its time."""
    return _cache


def ready(characters: Sequence[Character]) -> bool:
    """Whether all are known; if not, the next step towards it is taken (at most a tenth of a second), so ask again."""
    global _pool
    for character in characters:
        if character in _cache.cuts:
            continue
        cutting = _cutting.get(character)
        if cutting is None:
            _shapes[character] = _shape(character)
            _pool = _pool or ThreadPoolExecutor(1, "magicanimate cutting")
            if not is_character_labelled(character):
                label_character(character)
                return False
            try:
                _cutting[character] = _pool.submit(cut_measured, measure(character))
            except DensePoseError:  # painted by hand all over, it needs no human shape
                _cache.cuts[character] = {}
            return False
        if not cutting.done():
            return False
        _cache.cuts[character] = _cutting.pop(character).result()
    return True


def forget() -> None:
    """Meshes were edited, or all are others in another file."""
    global _cache
    _cache = GeometryCache()
    _cutting.clear()
    _shapes.clear()


def forget_if_other() -> None:
    """Meshes may have been edited: forget all if one is not what it was when it was measured."""
    if any(_shape(character) != shape for character, shape in _shapes.items()):
        forget()


def was_touched(depsgraph: bpy.types.Depsgraph) -> bool:
    """Whether a mesh of a known character was reported as changed, which an animated shape key also does."""
    objects = (find_object(key) for character in _shapes for key in character.meshes)
    known = {obj.data.name_full for obj in objects if obj is not None}
    return any(isinstance(update.id, bpy.types.Mesh) and update.id.name_full in known for update in depsgraph.updates)


def _shape(character: Character) -> str:
    try:
        return shape_of([character])
    except DensePoseError:  # gone
        return ""


def register() -> None:
    """The pool is made when it is first needed."""


def unregister() -> None:
    global _pool
    forget()
    if _pool is not None:
        _pool.shutdown(cancel_futures=True)
        _pool = None
