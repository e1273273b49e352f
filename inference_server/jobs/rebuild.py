"""Open the job store; set a damaged one aside and make the list anew from the results' folders."""

import json
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from pydantic import ValidationError

from inference_server.jobs.folder import DataFolder, disk_full, is_disk_full
from inference_server.jobs.model import JobBody, JobProblem, JobResult, Wire
from inference_server.jobs.notices import Notices
from inference_server.jobs.store import Record, Store, is_full

NOTE = "job.json"
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

log = logging.getLogger(__name__)


class RowNote(Wire):
    """job.json beside a result: what of its row the other files do not tell."""

    owner: str
    number: int
    created_at: float
    pinned: bool
    body: JobBody


@contextmanager
def told_when_full(folder: DataFolder) -> Iterator[None]:
    """A start on a full disk ends in a sentence. Raises UserError `disk-full`."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        if is_full(error) if isinstance(error, sqlite3.OperationalError) else is_disk_full(error):
            raise disk_full(folder) from error
        raise


def open_store(folder: DataFolder, notices: Notices) -> Store:
    """Raises UserError `store-too-new`, sqlite3.OperationalError where the disk is full or the file not ours."""
    try:
        store = Store(folder.database, folder.give_up_reserve)
        store.check()
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF not in DAMAGED:
            raise
        log.error("the list of jobs is damaged: %s", error)
        kept = _set_aside(folder)
        store = Store(folder.database, folder.give_up_reserve)
        why = f"The list of jobs was damaged ({error}) and is kept as {kept.name}"
    else:
        why = "The list of jobs was lost"
        if store.exists_any():
            return store
    _rebuild(folder, store, notices, why)
    return store


def _set_aside(folder: DataFolder) -> Path:
    """Rename the file with what SQLite keeps beside it. Returns its new place."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    for suffix in ("-wal", "-shm", ""):
        path = Path(f"{folder.database}{suffix}")
        target = folder.root / f"jobs.damaged-{stamp}.sqlite3{suffix}"
        if path.exists():
            os.replace(path, target)
    return target


def _rebuild(folder: DataFolder, store: Store, notices: Notices, why: str) -> None:
    found, unknown = [], []
    for place in folder.jobs.iterdir():
        try:
            found.append(_record(UUID(place.name), place))
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.error("%s is no result that can be listed: %s", place, error)
            unknown.append(place.name)
    for record in sorted(found, key=lambda record: record.number):
        store.restore(record)
    if not found and not unknown:
        return
    count = "1 job was" if len(found) == 1 else f"{len(found)} jobs were"
    rest = f"; what {', '.join(unknown[:3])} holds is not known and was left alone" if unknown else ""
    notices.put(
        "store-rebuilt",
        f"{why}. {count} found again in the folder of results{rest}",
        "Jobs that were not done are marked as failed and can be tried again. Nothing has to be done for the others.",
    )


def _record(job: UUID, place: Path) -> Record:
    """Raises OSError, ValueError, KeyError, TypeError if there is too little to make a row from."""
    try:
        note = RowNote.model_validate_json((place / NOTE).read_bytes())
    except (OSError, ValidationError):
        note = _from_recipe(place)
    try:
        result = JobResult.model_validate_json((place / "result.json").read_bytes())
        ended = (place / "result.json").stat().st_mtime
    except (OSError, ValidationError):
        result, ended = None, place.stat().st_mtime
    problem = JobProblem(
        detail="The list of jobs was lost while this one was not done",
        fix="Try it again: it goes on from its last step.",
        code="store-rebuilt",
    )
    return Record(
        id=job,
        number=note.number,
        rank=note.number,
        state="done" if result else "failed",
        body=note.body,
        created_at=note.created_at,
        started_at=note.created_at,
        finished_at=ended,
        problem=None if result else problem,
        result=result,
        pinned=note.pinned,
        owner=note.owner,
    )


def _from_recipe(place: Path) -> RowNote:
    """Of a result of 0.1.0, which had no job.json. It is pinned: whether it was is not known."""
    path = place / "recipe.json"
    recipe, made = json.loads(path.read_bytes()), path.stat().st_mtime
    body = JobBody(
        engine=recipe["engine"],
        weights=recipe["weights"],
        reference=recipe["reference"],
        tracks=recipe["tracks"],
        fps=recipe["fps"],
        settings=recipe["settings"],
        consent=True,  # no job was accepted without it
        base_job=recipe["base"]["job"] if recipe["base"] else None,
    )
    return RowNote(owner="", number=int(made), created_at=made, pinned=True, body=body)
