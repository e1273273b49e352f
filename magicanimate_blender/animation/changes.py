"""What changed since an earlier result, and so how much has to be computed."""

from collections.abc import Sequence
from dataclasses import dataclass

from .matching import match_frames
from .record import Record
from .spec import JobSpec
from .states import State


@dataclass(frozen=True)
class Unchanged:
    """Every frame's map, the picture and the settings are as they were."""

    frames: int

    @property
    def sentence(self) -> str:
        return f"Nothing changed: none of {_frames(self.frames)} will be computed"


@dataclass(frozen=True)
class Partial:
    """Some frames can be kept.

    source: for each frame of the new job the frame of the base that has its map, None for those to be computed.
    """

    source: tuple[int | None, ...]
    base_frames: int

    @property
    def changed(self) -> tuple[int, ...]:
        return tuple(n for n, kept in enumerate(self.source) if kept is None)

    @property
    def in_place(self) -> bool:
        """All kept frames stay where they were, and their number is the same."""
        return self.base_frames == len(self.source) and all(k is None or k == n for n, k in enumerate(self.source))

    @property
    def sentence(self) -> str:
        return f"{len(self.changed)} of {_frames(len(self.source))} will be computed"


@dataclass(frozen=True)
class Full:
    """Everything is computed, because of `reason`."""

    frames: int
    reason: str

    @property
    def sentence(self) -> str:
        return f"All {_frames(self.frames)} will be computed: {self.reason}"


Plan = Unchanged | Partial | Full


def what_changed(base: Record | None, spec: JobSpec, maps: Sequence[str]) -> Plan:
    """Compare the job `spec` whose frames have the label images `maps` (sha256) with the result `base`."""
    if (reason := _why_full(base, spec)) is not None or base is None:
        return Full(len(maps), reason or "there is no earlier result")
    redo, keep = set(spec.redo), set(spec.keep)
    source = list(match_frames(base.maps, maps))
    for n in range(len(source)):
        if n in keep and n < len(base.maps):
            source[n] = n if source[n] is None else source[n]
        elif n in redo:
            source[n] = None
    if all(kept is None for kept in source):
        return Full(len(maps), "every frame changed")
    plan = Partial(tuple(source), len(base.maps))
    return Unchanged(len(maps)) if plan.in_place and not plan.changed else plan


def _why_full(base: Record | None, spec: JobSpec) -> str | None:
    """The first difference that no frame survives, or None."""
    if base is None:
        return "the earlier result is gone"
    if base.state is not State.DONE or not base.maps:
        return "the earlier result is not complete"
    old = base.spec
    if old.engine != spec.engine or old.weights != spec.weights:
        return "other weights"
    if old.reference != spec.reference:
        return "another reference picture"
    if (old.width, old.height) != (spec.width, spec.height):
        return "another size"
    if dict(old.settings) != dict(spec.settings):
        names = {n for n in {*old.settings, *spec.settings} if old.settings.get(n) != spec.settings.get(n)}
        return f"another {', '.join(sorted(names)).replace('_', ' ')}"
    return None


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"
