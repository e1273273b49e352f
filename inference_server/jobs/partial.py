"""What of an earlier result can be taken for a job that names it as its base."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from inference_server.jobs.folder import DataFolder
from inference_server.jobs.model import JobBody
from inference_server.jobs.store import Record


@dataclass(frozen=True)
class BasePlan:
    """changed: frames to compute. stale: frames kept although their map has changed, here or in the base."""

    job: UUID
    changed: tuple[int, ...]
    stale: tuple[int, ...]


def plan_base(body: JobBody, base: Record | None, folder: DataFolder, parse: Callable[..., object]) -> BasePlan | str:
    """The plan, or in one line why the job is computed in full. `parse` turns settings into comparable ones."""
    reason = _why_not(body, base, folder, parse)
    if reason or base is None:
        return f"Computed in full: {reason}."
    differs = {n for n in range(body.frames) if body.maps_of(n) != base.body.maps_of(n)} | set(base.stale)
    keep = set(body.keep) - set(body.redo)
    changed = (differs | set(body.redo)) - keep
    return BasePlan(base.id, tuple(sorted(changed)), tuple(sorted(differs & keep)))


def _why_not(body: JobBody, base: Record | None, folder: DataFolder, parse: Callable[..., object]) -> str | None:
    if base is None:
        return "the earlier result no longer exists"
    other = base.body
    if base.state != "done":
        return f"the earlier job is {base.state}, not done"
    if (body.engine, body.weights) != (other.engine, other.weights):
        return "the engine or its weights are other ones than in the earlier result"
    if body.reference != other.reference:
        return "the reference picture is another one than in the earlier result"
    if parse(body.settings) != parse(other.settings):
        return "the settings differ from those of the earlier result"
    if body.frames != other.frames:
        return f"it has {body.frames} frames and the earlier result {other.frames}"
    if not folder.trajectory(base.id).is_dir():
        return "the intermediate steps of the earlier result were not kept"
    if not all(folder.is_ours(folder.frame(base.id, n)) for n in range(other.frames)):
        return "frames of the earlier result are missing"
    return None
