"""What to animate: everything about a job but its pictures."""

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

MAX_SEED = 2**31 - 1
"""The largest seed that Blender's 32-bit integer properties hold."""


@dataclass(frozen=True)
class JobSpec:
    """A job's input, serialisable. Frames count from 0; frame n is the scene's `frame_start + n * frame_step`.

    reference: sha256 of the reference picture's file, already width x height pixels.
    fps: frames of the video a second.
    settings: the engine's, by its schema; `seed` among them.
    consent: "I have the right to use this person's picture".
    base: id of an earlier result, from which frames that did not change are kept. Frames in `redo` are computed
    nevertheless, those in `keep` are kept although they changed; redo wins.
    """

    engine: str
    weights: str
    reference: str
    frames: int
    width: int
    height: int
    fps: float
    settings: Mapping[str, Any]
    consent: bool
    name: str = ""
    frame_start: int = 1
    frame_step: int = 1
    group: str | None = None
    base: str | None = None
    redo: tuple[int, ...] = ()
    keep: tuple[int, ...] = ()

    def body(self, maps: Sequence[str], *, from_base: bool) -> dict[str, Any]:
        """The job's body by docs/api.md. maps: sha256 of each frame's label image."""
        base = self.base if from_base else None
        return {
            "engine": self.engine,
            "weights": self.weights,
            "reference": self.reference,
            "tracks": {"densepose": list(maps)},
            "fps": self.fps,
            "settings": dict(self.settings),
            "consent": self.consent,
            "name": self.name,
            "group": self.group,
            "base_job": base,
            "redo": list(self.redo) if base else [],
            "keep": list(self.keep) if base else [],
        }

    def to_json(self) -> dict[str, Any]:
        return asdict(replace(self, settings=dict(self.settings)))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Raises TypeError or ValueError if `value` was not made by `to_json`."""
        known = {f.name: value[f.name] for f in fields(cls) if f.name in value}
        for name in ("redo", "keep"):
            known[name] = tuple(int(frame) for frame in known.get(name, ()))
        if not isinstance(known.get("settings"), dict) or not isinstance(known.get("frames"), int):
            raise ValueError("settings or frames are missing")
        return cls(**known)


def variations(spec: JobSpec, count: int) -> tuple[JobSpec, ...]:
    """`count` jobs that differ in their seed, as one group; the first keeps the seed of `spec`.

    The seeds follow from that of `spec`, so that the same click gives the same choice again.
    """
    first = int(spec.settings.get("seed", 1))
    draw = random.Random(first)
    seeds = [first]
    while len(seeds) < count:
        seed = draw.randint(0, MAX_SEED)
        if seed not in seeds:
            seeds.append(seed)
    group = str(uuid.uuid4())
    return tuple(replace(spec, settings={**spec.settings, "seed": seed}, group=group) for seed in seeds)
