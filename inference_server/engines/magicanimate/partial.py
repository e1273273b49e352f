"""What of an earlier result is computed anew and what is carried over; needs no network."""

import hashlib
from typing import Any

import numpy as np

from inference_server.engines.magicanimate.info import MagicAnimateSettings
from inference_server.engines.protocol import Base, Images, Task
from inference_server.engines.trajectory import Trajectory
from inference_server.sampling.denoise import Retimed
from inference_server.sampling.noise import NOISE_TILE
from inference_server.sampling.partial import beside_cuts, joins_ends, plan_changes
from inference_server.sampling.windows import Window, plan_windows


def padding_multiple(settings: MagicAnimateSettings) -> int:
    """Frames are denoised in multiples of this: the published driver fills up a whole tile of noise."""
    return NOISE_TILE if settings.windows == "original" else 1


def padded_length(settings: MagicAnimateSettings, frames: int) -> int:
    """Frames that are denoised; those beyond the clip repeat its last one."""
    multiple = padding_multiple(settings)
    return -(-frames // multiple) * multiple


def windows_of(settings: MagicAnimateSettings, frames: int) -> list[Window]:
    """The plan of a full run."""
    count = padded_length(settings, frames)
    return plan_windows(count, settings.context_frames, settings.context_overlap, settings.windows)


def plan_partial(base: Base, settings: MagicAnimateSettings, frames: int) -> tuple[list[Window], frozenset[int]]:
    """The windows that run and the frames to compute: those that changed, are new or stand beside a cut, and a guard.

    Frames that are kept are left out, unless they are new. Those that pad the clip change with its last frame.
    """
    windows, sources = windows_of(settings, frames), base.sources or ()
    new = frozenset(n for n, source in enumerate(sources) if source is None)
    changed = base.changed | new | beside_cuts(sources, base.frames, joined=joins_ends(windows, frames))
    if frames - 1 in changed:
        changed |= frozenset(range(frames, padded_length(settings, frames)))
    running, active = plan_changes(windows, changed, settings.context_overlap)
    return running, (active - base.keep) | new


def retimed(kept: Trajectory, base: Base, settings: MagicAnimateSettings, frames: int) -> Trajectory | Retimed:
    """The base's kept steps in the order of this clip's frames; frames that pad it follow what the last one does."""
    if base.sources is None:
        return kept
    padding = padded_length(settings, frames) - frames
    return Retimed(kept, (*base.sources, *base.sources[-1:] * padding))


def carry_over(task: Task) -> bool:
    """See `EngineInfo.carry_over`."""
    base, settings, frames = task.base, task.settings, len(task.tracks["densepose"])
    assert isinstance(settings, MagicAnimateSettings)
    if base is None or plan_partial(base, settings, frames)[1]:
        return False
    earlier = Trajectory.of_base(base.trajectory, settings.steps, None, shared_facts(task))
    facts = {**own_facts(task, frozenset()), "decoder": earlier.facts.get("decoder")}
    if task.trajectory is not None:
        kept, count = retimed(earlier, base, settings, frames), padded_length(settings, frames)
        own = Trajectory(task.trajectory, settings.steps, (count, *earlier.shape[1:]), facts)
        done, _ = own.start(kept.at(0, range(count)))
        for step in range(done + 1, settings.steps + 1):
            own.save(step, kept.at(step, range(count)))
    return True


def shared_facts(task: Task) -> dict[str, Any]:
    """What the steps of a run and of its base must have in common."""
    settings = task.settings.model_dump(exclude={"redo_seed", "decoder"})
    return {"weights": task.weights, "picture": digest(task.reference), **settings}


def own_facts(task: Task, active: frozenset[int] | None) -> dict[str, Any]:
    """What must be the same for a run to go on where it was cut."""
    assert isinstance(task.settings, MagicAnimateSettings)
    return {
        **shared_facts(task),
        "maps": digest(task.tracks["densepose"]),
        "redo_seed": task.settings.redo_seed,
        "active": None if active is None else sorted(active),
    }


def digest(array: Images) -> str:
    """sha256 of an array's shape and content."""
    found = hashlib.sha256(repr(array.shape).encode())
    found.update(np.ascontiguousarray(array))  # no copy, so that a clip that lies on disk may stay there
    return found.hexdigest()
