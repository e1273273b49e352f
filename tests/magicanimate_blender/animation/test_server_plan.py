"""What the panel foretells is what the server computes: the same edits, planned by both programs."""

import dataclasses
import hashlib
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicanimate_blender.animation import JobSpec, Record, State, Unchanged, redo_only_settings, what_changed

pytest.importorskip("fastapi", reason="the server's packages are not installed")
pytest.importorskip("torch", reason="the server's packages are not installed")

from inference_server.engines.magicanimate.info import MAGICANIMATE, MagicAnimateSettings
from inference_server.engines.magicanimate.partial import plan_partial
from inference_server.jobs import store
from inference_server.jobs.folder import DataFolder
from inference_server.jobs.messages import Run
from inference_server.jobs.model import JobBody
from inference_server.jobs.partial import BasePlan, plan_base
from inference_server.jobs.run import base_of

LONGEST = 40
REDO_ONLY = redo_only_settings(MAGICANIMATE.settings.model_json_schema())
JOB = uuid.UUID(int=1)


def digests(clip) -> list[str]:
    return [hashlib.sha256(repr(frame).encode()).hexdigest() for frame in clip]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> DataFolder:
    """A server's folder with the files of a finished job."""
    folder = DataFolder(tmp_path_factory.mktemp("data"))
    folder.trajectory(JOB).mkdir(parents=True)
    folder.frames(JOB).mkdir()
    (folder.job(JOB) / "recipe.json").write_text('{"run": {"weights_hash": "the same"}}')
    for n in range(LONGEST):
        folder.frame(JOB, n).touch()
    return folder


@st.composite
def edits(draw) -> tuple[list[object], list[object]]:
    """A clip, with held poses or a cycle now and then, and what an animator made of it."""
    length, hold, cycle = draw(st.integers(1, LONGEST)), draw(st.integers(1, 3)), draw(st.sampled_from([7, 100]))
    base = [n // hold % cycle for n in range(length)]
    new: list[object] = list(base)
    for edit in draw(st.lists(st.sampled_from(["cut", "key", "insert", "move"]), min_size=1, max_size=3)):
        at = draw(st.integers(0, len(new)))
        count = draw(st.integers(1, 6))
        held = new[at : at + count]
        if edit == "key":
            new[at : at + count] = [("key", at, n) for n in range(len(held))]
        elif edit == "insert":
            new[at:at] = [("new", at, n) for n in range(count)]
        else:
            del new[at : at + count]
            if edit == "move":
                to = draw(st.integers(0, len(new)))
                new[to:to] = held
    return base, new or [("new",)]


PINS = st.frozensets(st.integers(0, LONGEST), max_size=8)


def server_computes(base: JobBody, stale, body: JobBody, folder: DataFolder) -> tuple[set[int], set[int]]:
    """(frames that are computed, frames that are kept although their map changed), by the server's own code."""
    earlier = store.Record(JOB, 1, 1.0, "done", base, 0.0, stale=sorted(stale))
    plan = plan_base(body, earlier, folder, MAGICANIMATE, "the same")
    assert isinstance(plan, BasePlan), plan
    command = Run(
        JOB, {}, folder.root, True, False,
        base=JOB, changed=plan.changed, sources=plan.sources, base_frames=base.frames,
    )  # fmt: skip
    given = base_of(command, body, folder)
    assert given is not None
    _, computed = plan_partial(given, MagicAnimateSettings(**body.settings), body.frames)
    return {n for n in computed if n < body.frames}, set(plan.stale)


@st.composite
def window_plans(draw) -> dict[str, object]:
    """Settings of windows, some of clips that are shorter than one."""
    context = draw(st.integers(2, 24))
    overlap = draw(st.integers(0, min(6, context - 1)))
    mode = draw(st.sampled_from(["open", "loop", "original"]))
    return {"windows": mode, "context_frames": context, "context_overlap": overlap}


@settings(max_examples=400)
@given(edits(), window_plans(), PINS, PINS, PINS, st.booleans())
def test_the_add_on_foretells_what_the_server_computes(folder, clips, windows, redo, keep, stale, other_seed):
    old, new = (digests(clip) for clip in clips)
    redo, keep = ({n for n in pins if n < len(new)} for pins in (redo, keep))
    stale = {n for n in stale if n < len(old)}
    values = {"steps": 25, "seed": 1, "redo_seed": None, **windows}
    spec = JobSpec("magicanimate", "demo", "0" * 64, len(old), 64, 64, 24.0, values, consent=True)
    record = Record(str(JOB), spec, State.DONE, 0.0, maps=tuple(old), stale=tuple(stale))
    again = dataclasses.replace(
        spec, frames=len(new), base=str(JOB), redo=tuple(redo), keep=tuple(keep),
        settings={**values, "redo_seed": 7 if other_seed else None},
    )  # fmt: skip

    plan = what_changed(record, again, new, redo_only=REDO_ONLY)
    body = JobBody.model_validate(again.body(new, from_base=True))
    computed, kept = server_computes(JobBody.model_validate(spec.body(old, from_base=False)), stale, body, folder)

    assert (set() if isinstance(plan, Unchanged) else set(plan.computed)) == computed
    assert set(plan.stale) == kept
