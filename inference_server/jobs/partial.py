"""What of an earlier result can be taken for a job that names it as its base."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from inference_server.engines.protocol import EngineInfo
from inference_server.jobs.admission import parse_settings
from inference_server.jobs.alignment import Sources, align
from inference_server.jobs.folder import DataFolder
from inference_server.jobs.model import JobBody
from inference_server.jobs.store import Record


@dataclass(frozen=True)
class BasePlan:
    """changed: frames to compute. stale: frames kept although their map has changed, here or in the base.

    sources: the base's frame that each frame continues, None for a new one.
    """

    job: UUID
    changed: tuple[int, ...]
    stale: tuple[int, ...]
    sources: Sources


def plan_base(
    body: JobBody, base: Record | None, folder: DataFolder, engine: EngineInfo, weights: str
) -> BasePlan | str:
    """The plan, or in one line why the job is computed in full. weights: hash of those that would compute it now."""
    reason = _why_not(body, base, folder, engine, weights)
    if reason or base is None:
        return f"Computed in full: {reason}."
    ours, theirs = ([each.maps_of(n) for n in range(each.frames)] for each in (body, base.body))
    sources = align(theirs, ours)
    new = {n for n, source in enumerate(sources) if source is None}
    stale = set(base.stale)
    differs = {
        n for n, source in enumerate(sources) if source in stale or (source is not None and theirs[source] != ours[n])
    }
    keep = set(body.keep) - set(body.redo) - new
    changed = new | (differs | set(body.redo)) - keep
    return BasePlan(base.id, tuple(sorted(changed)), tuple(sorted(differs & keep)), sources)


def _why_not(body: JobBody, base: Record | None, folder: DataFolder, engine: EngineInfo, weights: str) -> str | None:
    if base is None:
        return "the earlier result no longer exists"
    other = base.body
    if base.state != "done":
        return f"the earlier job is {base.state}, not done"
    if (body.engine, body.weights) != (other.engine, other.weights):
        return "the engine or its weights are other ones than in the earlier result"
    if weights_of_result(folder, base.id) != weights:
        return "the weights were replaced since the earlier result"
    if body.reference != other.reference:
        return "the reference picture is another one than in the earlier result"
    if _result_settings(engine, body) != _result_settings(engine, other):
        return "the settings differ from those of the earlier result"
    if not folder.trajectory(base.id).is_dir():
        return "the intermediate steps of the earlier result were not kept"
    if not all(folder.is_ours(folder.frame(base.id, n)) for n in range(other.frames)):
        return "frames of the earlier result are missing"
    return None


def weights_of_result(folder: DataFolder, job: UUID) -> str | None:
    """Hash of the weights that computed a result; None for results that are older than it, or unreadable."""
    try:
        recipe = json.loads((folder.job(job) / "recipe.json").read_text(encoding="utf-8"))
        return str(recipe["run"]["weights_hash"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _result_settings(engine: EngineInfo, body: JobBody) -> dict[str, Any]:
    """Settings that shape every frame; those marked `redo_only` in the schema shape only what is computed anew."""
    marks = {name: field.json_schema_extra for name, field in engine.settings.model_fields.items()}
    redo_only = {name for name, extra in marks.items() if isinstance(extra, dict) and "redo_only" in extra}
    return parse_settings(engine, body.settings).model_dump(exclude=redo_only)
