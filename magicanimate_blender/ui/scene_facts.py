"""What the panel says about a scene, looked up when something changed and not at every redraw."""

from __future__ import annotations

import time
from dataclasses import dataclass

import bpy

from ..densepose.errors import DensePoseError
from ..scene.characters import Character, objects_of
from ..scene.framing import current_framing_warnings
from ..scene.labels import is_character_labelled
from ..scene.obstacles import notes_of, require_drawable
from . import geometry
from .engines import engine_for, known_engines, output_size, weights_for
from .messages import Message, message_of
from .request import characters_of

SETTLED = 0.4
"""Seconds without a change after which facts are looked up: not while somebody poses or scrubs."""


@dataclass(frozen=True)
class SceneFacts:
    """problem: why there is nobody to animate, or None. warnings: of the framing, at the frame last settled on."""

    characters: tuple[Character, ...] = ()
    labelled: bool = False
    problem: Message | None = None
    warnings: tuple[Message, ...] = ()


_facts: dict[int, SceneFacts] = {}
_changed_at: dict[int, float] = {}
_asked_at: dict[int, float] = {}
_version = 0


def facts(scene: bpy.types.Scene) -> SceneFacts:
    """As last looked up. Before the first time only what can be read, as panels ask while they are drawn; the next
    beat measures the rest, which poses meshes with mirrored halves."""
    _asked_at[scene.session_uid] = time.monotonic()
    if scene.session_uid not in _facts:
        _look_up(scene, measured=False)
    return _facts[scene.session_uid]


def version() -> int:
    """Grows with every change of facts."""
    return _version


def look_again(scene: bpy.types.Scene) -> None:
    """Now: an operator of ours changed something that the panel is to show at once."""
    _changed_at.pop(scene.session_uid, None)
    _look_up(scene)


def mark_changed(scene: bpy.types.Scene) -> None:
    _changed_at[scene.session_uid] = time.monotonic()


def refresh(scene: bpy.types.Scene) -> None:
    """Look up again if the scene changed, has settled since, and somebody has asked: a closed sidebar does not."""
    changed = _changed_at.get(scene.session_uid)
    asked = _asked_at.get(scene.session_uid, 0.0)
    if changed is not None and changed <= asked and time.monotonic() - changed > SETTLED:
        del _changed_at[scene.session_uid]
        _look_up(scene)


def forget_all() -> None:
    _facts.clear()
    _changed_at.clear()
    _asked_at.clear()


def _look_up(scene: bpy.types.Scene, *, measured: bool = True) -> None:
    global _version
    try:
        characters = tuple(characters_of(scene))
        require_drawable(scene, characters)
        labelled = all(is_character_labelled(character) for character in characters)
        known = labelled and measured and geometry.ready(characters)
        if labelled and not known:
            _changed_at[scene.session_uid] = 0.0  # look again at the next beat
        found = SceneFacts(characters, labelled, warnings=_warnings(scene, characters) if known else ())
    except DensePoseError as error:
        found = SceneFacts(problem=message_of(error))
    if found != _facts.get(scene.session_uid):
        _facts[scene.session_uid] = found
        _version += 1


def _warnings(scene: bpy.types.Scene, characters: tuple[Character, ...]) -> tuple[Message, ...]:
    notes = notes_of(characters)
    engine = engine_for(scene.magicanimate, known_engines())
    size = output_size(scene.magicanimate, weights_for(scene.magicanimate, engine))
    try:
        if scene.camera is not None:
            notes += current_framing_warnings(scene, characters, size, geometry.cache())
    except DensePoseError as error:
        hidden_in_viewport_only = any(not obj.hide_render for obj in objects_of(characters))
        if not (error.code == "nothing-drawn" and hidden_in_viewport_only):
            return (message_of(error),)
    return tuple(Message(note.message, note.fix) for note in notes)
