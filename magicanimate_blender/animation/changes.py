"""What changed since an earlier result, and so how much has to be computed. The server decides by the same rules."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .matching import align
from .record import Record
from .spec import JobSpec
from .states import State
from .windows import joins_ends, padded_length, plan_windows, with_guard


@dataclass(frozen=True)
class Unchanged:
    """Nothing has to be computed. stale: kept frames whose picture is not that of their part map."""

    frames: int
    stale: tuple[int, ...] = ()

    @property
    def sentence(self) -> str:
        return f"Nothing changed: none of {_frames(self.frames)} will be computed"


@dataclass(frozen=True)
class Partial:
    """changed: new frames, those with another map, beside a cut, or marked to be redone; computed: these and their
    neighbours in a window.

    All others keep the base's picture, bit for bit. stale: those of them whose map is another one than the base's,
    kept because the artist said so.
    """

    frames: int
    changed: tuple[int, ...]
    computed: tuple[int, ...]
    stale: tuple[int, ...] = ()

    @property
    def sentence(self) -> str:
        return f"{len(self.computed) or 'None'} of {_frames(self.frames)} will be computed"


@dataclass(frozen=True)
class Full:
    """Everything is computed, because of `reason`."""

    frames: int
    reason: str

    @property
    def sentence(self) -> str:
        return f"All {_frames(self.frames)} will be computed: {self.reason}"


Plan = Unchanged | Partial | Full


def what_changed(base: Record | None, spec: JobSpec, maps: Sequence[str], *, redo_only: Collection[str] = ()) -> Plan:
    """Compare the job `spec` whose frames have the label images `maps` (sha256) with the result `base`.

    redo_only: settings that shape only frames which are computed anew, see `redo_only_settings`.
    """
    if base is None:
        return Full(len(maps), "the earlier result is gone")
    if (reason := _why_full(base, spec, redo_only)) is not None:
        return Full(len(maps), reason)
    sources = align(base.maps, maps)
    new = {n for n, source in enumerate(sources) if source is None}
    older = set(base.stale)
    differs = {
        n
        for n, source in enumerate(sources)
        if source is not None and (source in older or base.maps[source] != maps[n])
    }
    keep = set(spec.keep) - set(spec.redo) - new
    stale = tuple(sorted(differs & keep))
    changed = new | ((differs | set(spec.redo)) - keep)
    if not changed and sources == tuple(range(len(base.maps))):
        return Unchanged(len(maps), stale)
    frames = len(maps)
    windows = plan_windows(spec.settings, frames)
    changed |= _beside_cuts(sources, len(base.maps), joined=joins_ends(windows, frames))
    padding = set(range(frames, padded_length(spec.settings, frames))) if frames - 1 in changed else set()
    wide = with_guard(windows, changed | padding, int(spec.settings.get("context_overlap", 0)))
    computed = {n for n in wide if n < frames} - keep
    return Partial(frames, tuple(sorted(changed - keep)), tuple(sorted(computed)), stale)


def _beside_cuts(sources: Sequence[int | None], base_frames: int, *, joined: bool) -> set[int]:
    """Frames whose neighbour in the base is gone: both sides of a cut. joined: the first frame follows the last."""
    pairs = list(pairwise(range(len(sources)))) + ([(len(sources) - 1, 0)] if joined and sources else [])
    cuts: set[int] = set()
    for a, b in pairs:
        left, right = sources[a], sources[b]
        if left is None or right is None:
            continue
        if right != (0 if b == 0 and left == base_frames - 1 else left + 1):
            cuts |= {a, b}
    return cuts


def redo_only_settings(schema: object) -> frozenset[str]:
    """Names of the settings that an engine's `settings_schema` marks as shaping only frames computed anew."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    found = properties.items() if isinstance(properties, dict) else ()
    return frozenset(name for name, field in found if isinstance(field, dict) and field.get("redo_only"))


def _why_full(base: Record, spec: JobSpec, redo_only: Collection[str]) -> str | None:
    """The first difference that no frame survives, or None."""
    if base.state is not State.DONE or not base.maps:
        return "the earlier result is not complete"
    old = base.spec
    if old.engine != spec.engine or old.weights != spec.weights:
        return "other weights"
    if old.reference != spec.reference:
        return "another reference picture"
    if (old.width, old.height) != (spec.width, spec.height):
        return "another size"
    names = {*old.settings, *spec.settings} - set(redo_only)
    if others := sorted(name for name in names if old.settings.get(name) != spec.settings.get(name)):
        return f"another {', '.join(others).replace('_', ' ')}"
    return None


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"
