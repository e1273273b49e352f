"""From what is chosen in the panel to a job that can be started."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bpy

from ..animation import JobSpec
from ..client import sha256
from ..scene.characters import Character, find_characters, require_characters
from ..scene.errors import SceneError
from . import engine_settings
from .engines import engine_for, known_engines, output_size, weights_for
from .reference import read_reference
from .settings import SceneSettings


@dataclass(frozen=True)
class Request:
    """Everything a job needs but its part maps. frames: scene frames."""

    spec: JobSpec
    reference: bytes
    characters: tuple[Character, ...]
    frames: tuple[int, ...]

    @property
    def size(self) -> tuple[int, int]:
        return self.spec.width, self.spec.height

    def with_spec(self, **changes: Any) -> Request:
        return dataclasses.replace(self, spec=dataclasses.replace(self.spec, **changes))


def prepare(
    scene: bpy.types.Scene,
    *,
    frames: Sequence[int] | None = None,
    settings: Mapping[str, Any] | None = None,
    size_share: float | None = None,
) -> Request:
    """Read the scene's choices. frames, settings and size_share, if given, take the place of the chosen ones.

    Raises SceneError for what is missing, in the order of the panel.
    """
    chosen = scene.magicanimate
    characters = characters_of(scene)
    if chosen.reference is None:
        raise SceneError("No reference picture is chosen.", "Choose a picture of the person under Reference.")
    if not chosen.consent:
        raise SceneError(
            "Nobody has said yet that this picture may be used.", "Tick “I May Use This Picture” if you have the right."
        )
    engine = engine_for(chosen, known_engines())
    weights = weights_for(chosen, engine)
    width, height = output_size(chosen, weights, size_share)
    frames = tuple(frames_of(scene) if frames is None else frames)
    if not frames:
        raise SceneError("There are no frames to animate.", "Set the end frame after the start frame.")
    reference = read_reference(chosen.reference, (width, height), chosen.fit)
    rate = scene.render.fps / scene.render.fps_base
    spec = JobSpec(
        engine=engine.id,
        weights=weights.id,
        reference=sha256(reference),
        frames=len(frames),
        width=width,
        height=height,
        fps=rate / chosen.frame_step,
        settings=engine_settings.values(scene) if settings is None else settings,
        consent=True,
        name=f"{scene.name} {frames[0]}-{frames[-1]}",
        frame_start=frames[0],
        frame_step=chosen.frame_step,
    )
    return Request(spec, reference, tuple(characters), frames)


def characters_of(scene: bpy.types.Scene) -> list[Character]:
    """The chosen character, else all of the scene. Raises SceneError if there is none."""
    chosen = chosen_character(scene)
    return require_characters(scene, None if chosen is None else [chosen])


def chosen_character(scene: bpy.types.Scene) -> bpy.types.Object | None:
    """The armature that was chosen; None without one, and for one that was deleted: only the field still has it."""
    chosen = scene.magicanimate.character
    if chosen is None or chosen in scene.objects.values() or find_characters(scene, [chosen]):  # of an instance
        return chosen
    return None


def frames_of(scene: bpy.types.Scene) -> range:
    chosen: SceneSettings = scene.magicanimate
    start, end = (
        (scene.frame_start, scene.frame_end) if chosen.use_scene_range else (chosen.frame_start, chosen.frame_end)
    )
    return range(start, end + 1, chosen.frame_step)


def marked_frames(text: str, spec: JobSpec) -> tuple[int, ...]:
    """Scene frames written like "10-14, 20" -> the job's frames, from 0. Raises SceneError for what is no such list."""
    marked: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = re.fullmatch(r"(-?\d+)(?:\s*-\s*(-?\d+))?", part)
        if found is None:
            raise SceneError(f"“{part}” is no frame.", "Write frames like 10-14, 20.")
        first, last = int(found[1]), int(found[2] or found[1])
        marked.update(range(first, last + 1))
    here = {spec.frame_start + n * spec.frame_step: n for n in range(spec.frames)}
    strangers = marked - set(here)
    if strangers:
        raise SceneError(f"Frame {min(strangers)} is not in that result.", f"It has {min(here)} to {max(here)}.")
    return tuple(sorted(here[frame] for frame in marked))
