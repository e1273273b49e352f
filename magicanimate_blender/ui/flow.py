"""What the buttons do about animations: start, regenerate, vary, look at one frame. For scripts, too."""

from __future__ import annotations

from collections.abc import Sequence

import bpy

from ..animation import (
    DRAFT,
    FINAL,
    Animation,
    JobSpec,
    Preset,
    Record,
    State,
    redo_only_settings,
    variations,
    what_changed,
)
from ..client import sha256
from ..scene.errors import SceneError
from ..scene.labels import label_characters
from ..scene.obstacles import require_drawable
from . import engine_settings
from .delivery import PREVIEW
from .drawing import Drawing, MapConsumer
from .engines import engine_for, known_engines, weights_for
from .request import Request, marked_frames, prepare
from .runtime import Runtime
from .settings import SceneSettings, remember_job

NEIGHBOURS = 8
"""Frames on both sides of the current one that a preview of it is computed with: it needs motion around it."""


def animate(runtime: Runtime, scene: bpy.types.Scene) -> Animation:
    """Start an animation of the scene as it is chosen in the panel. Raises SceneError for what is missing."""
    return submit(runtime, scene, prepare(scene))[0]


def regenerate(runtime: Runtime, scene: bpy.types.Scene, base: Record) -> Animation:
    """Animate again, computing only the frames that changed since `base`, and those that are marked."""
    runtime.plans.pop(base.id, None)
    return submit(runtime, scene, _upon(scene, base))[0]


def check_changes(runtime: Runtime, scene: bpy.types.Scene, base: Record) -> None:
    """Draw the part maps and find out what regenerating `base` would compute; see `Runtime.plans`."""
    request = _upon(scene, base)
    require_drawable(scene, request.characters)
    label_characters(request.characters)
    runtime.plans[base.id] = "Drawing part maps to compare"
    comparison = Comparison(runtime, base, request.spec)
    runtime.drawings.append(_drawing(scene, request, [comparison]))


class Comparison:
    """Takes part maps instead of a job, and says what changed once it has all."""

    def __init__(self, runtime: Runtime, base: Record, spec: JobSpec) -> None:
        self._runtime = runtime
        self._base = base
        self._spec = spec
        self._digests: dict[int, str] = {}

    def wants_maps(self) -> bool:
        return self._base.id in self._runtime.plans

    def add_map(self, frame: int, png: bytes) -> None:
        self._digests[frame] = sha256(png)
        if len(self._digests) == self._spec.frames:
            digests = [self._digests[n] for n in range(self._spec.frames)]
            redo_only = redo_only_settings(engine_settings.schema())
            plan = what_changed(self._base, self._spec, digests, redo_only=redo_only)
            self._runtime.plans[self._base.id] = plan.sentence

    def cancel(self) -> None:
        self._runtime.plans.pop(self._base.id, None)


def _upon(scene: bpy.types.Scene, base: Record) -> Request:
    """The scene's choices as a job that builds upon an earlier result, with the frames that are marked."""
    request, chosen = prepare(scene), scene.magicanimate
    redo, keep = (marked_frames(text, request.spec) for text in (chosen.redo, chosen.keep))
    return request.with_spec(base=base.id, redo=redo, keep=keep)


def vary(runtime: Runtime, scene: bpy.types.Scene, count: int) -> list[Animation]:
    """Animate with `count` seeds, as one group; the part maps are drawn once."""
    request = prepare(scene)
    return submit(runtime, scene, request, variations(request.spec, count))


def promote(runtime: Runtime, scene: bpy.types.Scene, choice: Record) -> Animation:
    """Animate the chosen variation again with its seed in the best quality."""
    request = prepare(scene, frames=_same_frames(scene, choice), size_share=FINAL.size)
    settings = FINAL.apply(choice.spec.settings, engine_settings.schema())
    return submit(runtime, scene, request.with_spec(settings=settings))[0]


def preview_frame(runtime: Runtime, scene: bpy.types.Scene) -> Animation:
    """Animate the current frame with its neighbours in draft quality."""
    step = scene.magicanimate.frame_step
    now = scene.frame_current
    settings = DRAFT.apply(engine_settings.values(scene), engine_settings.schema())
    frames = range(now - NEIGHBOURS * step, now + NEIGHBOURS * step, step)
    request = prepare(scene, frames=frames, settings=settings)
    for old in [record for record in runtime.records() if record.spec.group == PREVIEW and record.state.ended]:
        runtime.animations.forget(old.id)
        runtime.animations.history.delete(old.id)
    return submit(runtime, scene, request.with_spec(name=f"Preview of frame {now}", group=PREVIEW))[0]


def submit(
    runtime: Runtime, scene: bpy.types.Scene, request: Request, specs: Sequence[JobSpec] | None = None
) -> list[Animation]:
    """Start a job for each of `specs` (default: the request's own) and draw the part maps for all of them."""
    require_drawable(scene, request.characters)
    label_characters(request.characters)
    animations = [runtime.animations.start(spec, request.reference) for spec in specs or [request.spec]]
    for animation in animations:
        remember_job(scene, animation.id)
    runtime.drawings.append(_drawing(scene, request, animations))
    runtime.forget_records()
    return animations


def _drawing(scene: bpy.types.Scene, request: Request, consumers: Sequence[MapConsumer]) -> Drawing:
    mitten = scene.magicanimate.mitten
    return Drawing(scene, request.characters, request.frames, request.size, consumers, mitten=mitten)


def use_preset(scene: bpy.types.Scene, preset: Preset) -> None:
    """Set the engine's settings and the part of the size to a quality."""
    scene.magicanimate.size_share = preset.size
    engine_settings.assign(scene, preset.apply(engine_settings.values(scene), engine_settings.schema()))


def choose_weights(scene: bpy.types.Scene, chosen: str) -> None:
    """Animate with these weights, with the settings that suit them; those of other weights go back to the default."""
    settings: SceneSettings = scene.magicanimate
    settings.weights = chosen
    engine = engine_for(settings, known_engines())
    fields = engine.settings_schema.get("properties", {})
    suited = {name for weights in engine.weight_sets for name in weights.recommended_settings} & fields.keys()
    wanted = weights_for(settings, engine).recommended_settings
    engine_settings.assign(scene, {name: wanted.get(name, fields[name].get("default")) for name in suited})


def is_in_use(scene: bpy.types.Scene, preset: Preset) -> bool:
    """Whether the settings are those of the preset."""
    values = engine_settings.values(scene)
    same_size = abs(scene.magicanimate.size_share - preset.size) < 1e-3
    return same_size and preset.apply(values, engine_settings.schema()) == values


def base_for(runtime: Runtime, scene: bpy.types.Scene) -> Record | None:
    """The newest finished result of the scene: what Regenerate starts from."""
    jobs = scene.magicanimate.jobs
    return next((r for r in runtime.records() if r.state is State.DONE and r.id in jobs), None)


def _same_frames(scene: bpy.types.Scene, record: Record) -> range:
    spec = record.spec
    if spec.frame_step != scene.magicanimate.frame_step:
        raise SceneError(
            f"That result has every {spec.frame_step}. frame.", f"Set the step to {spec.frame_step}, or click Animate."
        )
    return range(spec.frame_start, spec.frame_start + spec.frames * spec.frame_step, spec.frame_step)
