"""Jobs on disk: SQLite in WAL mode, so that a job that was accepted outlives every kind of death of this process."""

import json
import logging
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args
from uuid import UUID

from pydantic import ValidationError

from inference_server.errors import UserError
from inference_server.jobs.migrations import COLUMNS, migrate
from inference_server.jobs.model import ENDED, JobBody, JobOutline, JobProblem, JobResult, State
from inference_server.jobs.queue_order import Waiting, fair_order

log = logging.getLogger(__name__)

HASH = re.compile(r"[0-9a-f]{64}")
Body = TypeVar("Body", JobBody, JobOutline)


@dataclass
class Row(Generic[Body]):
    """One row of `jobs`. cancelling: its end was asked for, and the worker has not said yet that it stopped."""

    id: UUID
    number: int
    rank: float
    state: State
    body: Body
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    notes: list[str] = field(default_factory=list)
    problem: JobProblem | None = None
    result: JobResult | None = None
    pinned: bool = False
    low_memory: bool = False
    died_at: str | None = None
    stale: list[int] = field(default_factory=list)
    owner: str = ""
    cancelling: bool = False

    @property
    def ended(self) -> bool:
        return self.state in ENDED


Record = Row[JobBody]
"""A job with everything that was asked for."""
Brief = Row[JobOutline]
"""A job without its lists of frames."""


def brief(record: Record) -> Brief:
    values = {each.name: getattr(record, each.name) for each in fields(record)}
    return Brief(**{**values, "body": record.body.outline()})


class Store:
    """All calls may come from any thread. Raise sqlite3.OperationalError when the disk is full.

    A row that cannot be read (written by a later version, or damaged) is left as it is, passed over and listed in
    `unreadable`: id -> what is wrong with it.
    """

    def __init__(self, path: Path, on_full: Callable[[], object] = lambda: None) -> None:
        """on_full: called when a write found the disk full, to make room for the next attempt."""
        self._on_full = on_full
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
        self._connection.row_factory = sqlite3.Row
        # A power cut must not lose an accepted job either, hence FULL; writes are few.
        self._connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
        migrate(self._connection)
        self.unreadable: dict[str, str] = {}
        self._briefs("", ())

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError) and is_full(error):
                    self._on_full()
                raise

    def check(self) -> None:
        """Raises sqlite3.DatabaseError if the file is damaged."""
        with self._lock:
            found = _scalar(self._connection, "PRAGMA quick_check(1)")
        if found != "ok":
            raise sqlite3.DatabaseError(found)

    def restore(self, record: Record) -> None:
        """Put back a job whose row was lost, as it is in the result's folder."""
        with self._transaction() as db:
            taken = {row[0] for row in db.execute("SELECT number FROM jobs")}
            number = record.number if record.number not in taken else max(taken, default=0) + 1
            db.execute(
                "INSERT INTO jobs (id, number, rank, state, owner, outline, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (str(record.id), number, number, record.state, record.owner,
                 record.body.outline().model_dump_json(), record.created_at),
            )  # fmt: skip
            db.execute("INSERT INTO bodies VALUES (?, ?)", (str(record.id), record.body.model_dump_json()))
            values = (record.owner, record.body.reference, record.created_at)
            db.execute("INSERT OR IGNORE INTO consents VALUES (?, ?, ?)", values)
        self.update(replace(record, number=number, rank=number))

    def add(self, job: UUID, body: JobBody, now: float, owner: str = "") -> Record:
        """Append a queued job, and note the consent for its picture."""
        with self._transaction() as db:
            number = _scalar(db, "SELECT coalesce(max(number), 0) + 1 FROM jobs")
            rank = _scalar(db, "SELECT coalesce(max(rank), 0) + 1 FROM jobs")
            db.execute(
                "INSERT INTO jobs (id, number, rank, state, owner, outline, created_at) "
                "VALUES (?, ?, ?, 'queued', ?, ?, ?)",
                (str(job), number, rank, owner, body.outline().model_dump_json(), now),
            )
            db.execute("INSERT INTO bodies VALUES (?, ?)", (str(job), body.model_dump_json()))
            db.execute("INSERT OR IGNORE INTO consents VALUES (?, ?, ?)", (owner, body.reference, now))
        return Record(job, number, rank, "queued", body, now, owner=owner)

    def get(self, job: UUID) -> Record | None:
        """Raises UserError `job-unreadable`."""
        found = self.brief(job)
        return None if found is None else self.full(found)

    def full(self, found: Brief) -> Record:
        """The row with its whole body. Raises UserError `job-unreadable`."""
        with self._lock:
            row = self._connection.execute("SELECT body FROM bodies WHERE id = ?", (str(found.id),)).fetchone()
        try:
            body = JobBody.model_validate_json(row["body"] if row else "")
        except ValidationError as error:
            self._set_unreadable(str(found.id), error)
            raise self._problem(found.id) from None
        return Record(**{**{each.name: getattr(found, each.name) for each in fields(found)}, "body": body})

    def brief(self, job: UUID) -> Brief | None:
        """The row without its lists of frames. Raises UserError `job-unreadable`."""
        rows = self._briefs("WHERE id = ?", (str(job),))
        if not rows and self.exists(job):
            raise self._problem(job)
        return rows[0] if rows else None

    def exists(self, job: UUID) -> bool:
        with self._lock:
            return self._connection.execute("SELECT 1 FROM jobs WHERE id = ?", (str(job),)).fetchone() is not None

    def exists_any(self) -> bool:
        with self._lock:
            return self._connection.execute("SELECT 1 FROM jobs LIMIT 1").fetchone() is not None

    def newest(self, limit: int, *, before: UUID | None = None, owner: str | None = None) -> list[Brief]:
        """Newest first; those created before a job, those of one owner."""
        return self._briefs(
            "WHERE number < coalesce((SELECT number FROM jobs WHERE id = ?), 9e18) AND owner = coalesce(?, owner) "
            "ORDER BY number DESC LIMIT ?",
            (before and str(before), owner, limit),
        )

    def newest_ids(self) -> list[UUID]:
        with self._lock:
            rows = self._connection.execute("SELECT id FROM jobs ORDER BY number DESC").fetchall()
        return [UUID(row[0]) for row in rows if row[0] not in self.unreadable]

    def in_state(self, *states: State) -> list[Brief]:
        """In queue order."""
        marks = ",".join("?" * len(states))
        return self._briefs(f"WHERE state IN ({marks}) ORDER BY rank", states)

    def ids_in_state(self, state: State) -> list[UUID]:
        """In queue order."""
        with self._lock:
            rows = self._connection.execute("SELECT id FROM jobs WHERE state = ? ORDER BY rank", (state,)).fetchall()
        return [UUID(row[0]) for row in rows if row[0] not in self.unreadable]

    def waiting(self) -> list[Waiting]:
        """Queued jobs in the order in which they will be started."""
        query = "SELECT id, owner, rank, json_extract(outline, '$.frames') AS frames FROM jobs WHERE state = 'queued'"
        with self._lock:
            rows = self._connection.execute(query).fetchall()
            turns = self._connection.execute("SELECT owner, max(started_at) FROM jobs GROUP BY owner").fetchall()
        found = [Waiting(UUID(row["id"]), *row[1:]) for row in rows if row["id"] not in self.unreadable]
        return fair_order(found, {owner: at for owner, at in turns if at is not None})

    def next_queued(self) -> Record | None:
        for job in [each.id for each in self.waiting()]:
            try:
                return self.get(job)
            except UserError:
                log.warning("job %s is passed over: it cannot be read", job)
        return None

    def count(self, state: State) -> int:
        return len(self.ids_in_state(state))

    def update(self, record: "Record | Brief") -> None:
        """Write every field but id, number, owner and body, which never change."""
        with self._transaction() as db:
            db.execute(
                "UPDATE jobs SET rank=?, state=?, started_at=?, finished_at=?, notes=?, problem=?, result=?, pinned=?, "
                "low_memory=?, died_at=?, stale=?, cancelling=? WHERE id=?",
                (
                    record.rank,
                    record.state,
                    record.started_at,
                    record.finished_at,
                    json.dumps(record.notes),
                    record.problem.model_dump_json() if record.problem else None,
                    record.result.model_dump_json() if record.result else None,
                    record.pinned,
                    record.low_memory,
                    record.died_at,
                    json.dumps(record.stale),
                    record.cancelling,
                    str(record.id),
                ),
            )

    def delete(self, job: UUID) -> None:
        with self._transaction() as db:
            db.execute("DELETE FROM jobs WHERE id = ?", (str(job),))
            db.execute("DELETE FROM bodies WHERE id = ?", (str(job),))
        self.unreadable.pop(str(job), None)

    def move_to_end(self, record: "Record | Brief") -> None:
        with self._lock:
            record.rank = _scalar(self._connection, "SELECT coalesce(max(rank), 0) + 1 FROM jobs")

    def reorder(self, order: Iterable[UUID], owner: str | None = None) -> None:
        """Queued jobs in `order` come first, in that order; the others follow as they were. Of one owner, or of all."""
        whose = "state = 'queued' AND owner = coalesce(?, owner)"
        with self._transaction() as db:
            queued = [row[0] for row in db.execute(f"SELECT id FROM jobs WHERE {whose} ORDER BY rank", (owner,))]
            waiting = set(queued)
            wanted = dict.fromkeys(name for name in map(str, order) if name in waiting)
            ranks = sorted(row[0] for row in db.execute(f"SELECT rank FROM jobs WHERE {whose}", (owner,)))
            result = [*wanted, *(name for name in queued if name not in wanted)]
            db.executemany("UPDATE jobs SET rank = ? WHERE id = ?", list(zip(ranks, result, strict=True)))

    def setting(self, name: str, default: Any) -> Any:
        with self._lock:
            row = self._connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return default if row is None else json.loads(row[0])

    def set_setting(self, name: str, value: Any) -> None:
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, json.dumps(value)))

    def checked_maps(self, digests: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Those of the part maps that were decoded and found good before: hash -> width, height."""
        query = "SELECT * FROM checked_maps WHERE sha256 IN (SELECT value FROM json_each(?))"
        with self._lock:
            rows = self._connection.execute(query, (json.dumps(list(digests)),)).fetchall()
        return {row["sha256"]: (row["width"], row["height"]) for row in rows}

    def add_checked_maps(self, maps: dict[str, tuple[int, int]]) -> None:
        with self._transaction() as db:
            rows = [(digest, *size) for digest, size in maps.items()]
            db.executemany("INSERT OR IGNORE INTO checked_maps VALUES (?, ?, ?)", rows)

    def consent_given_at(self, reference: str, owner: str = "") -> float | None:
        query = "SELECT given_at FROM consents WHERE reference = ? AND owner = ?"
        with self._lock:
            row = self._connection.execute(query, (reference, owner)).fetchone()
        return row[0] if row else None

    def used_blobs(self) -> set[str]:
        """Hashes that some job names, one that cannot be read included."""
        used: set[str] = set()
        with self._lock:
            for (body,) in self._connection.execute("SELECT body FROM bodies"):
                used.update(HASH.findall(body))
        return used

    def inputs(self, job: UUID) -> set[str]:
        """Hashes that a job names, one that cannot be read included."""
        with self._lock:
            row = self._connection.execute("SELECT body FROM bodies WHERE id = ?", (str(job),)).fetchone()
        return set(HASH.findall(row[0])) if row else set()

    def made_from(self, reference: str) -> list[Brief]:
        """Jobs with this reference picture, oldest first."""
        return self._briefs("WHERE instr(outline, ?) ORDER BY number", (reference,))

    def forget_inputs(self, hashes: Iterable[str]) -> None:
        """Drop what was noted about inputs that are gone: sizes of maps, consents for pictures."""
        with self._transaction() as db:
            values = [(digest,) for digest in hashes]
            db.executemany("DELETE FROM checked_maps WHERE sha256 = ?", values)
            db.executemany("DELETE FROM consents WHERE reference = ?", values)

    def _briefs(self, rest: str, values: Iterable[Any]) -> list[Brief]:
        with self._lock:
            rows = self._connection.execute(f"SELECT {COLUMNS} FROM jobs {rest}", tuple(values)).fetchall()
        found = []
        for row in rows:
            try:
                found.append(_brief(row))
            except (ValueError, TypeError) as error:
                self._set_unreadable(row["id"], error)
        return found

    def _set_unreadable(self, job: str, error: Exception) -> None:
        if isinstance(error, ValidationError):
            first = error.errors(include_input=False)[0]
            reason = f"{'.'.join(map(str, first['loc'])) or 'its body'}: {first['msg']}"
        else:
            reason = str(error)
        if job not in self.unreadable:
            log.error("job %s cannot be read: %s", job, reason)
        self.unreadable[job] = reason

    def _problem(self, job: UUID) -> UserError:
        return UserError(
            f"Job {job} was written by another version of the server, or is damaged: {self.unreadable[str(job)]}",
            fix="Update the server, or delete the job.",
            code="job-unreadable",
        )


def _brief(row: sqlite3.Row) -> Brief:
    if row["state"] not in get_args(State):
        raise ValueError(f"state: {row['state']!r} is not known")
    return Brief(
        id=UUID(row["id"]),
        number=row["number"],
        rank=row["rank"],
        state=row["state"],
        body=JobOutline.model_validate_json(row["outline"]),
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        notes=json.loads(row["notes"]),
        problem=JobProblem.model_validate_json(row["problem"]) if row["problem"] else None,
        result=JobResult.model_validate_json(row["result"]) if row["result"] else None,
        pinned=bool(row["pinned"]),
        low_memory=bool(row["low_memory"]),
        died_at=row["died_at"],
        stale=json.loads(row["stale"]),
        owner=row["owner"],
        cancelling=bool(row["cancelling"]),
    )


def is_full(error: sqlite3.Error) -> bool:
    """Whether it is the disk that has no room: for the file itself, or for the memory shared by its readers."""
    full = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)
    return getattr(error, "sqlite_errorcode", None) in full


def _scalar(db: sqlite3.Connection, query: str, *values: Any) -> Any:
    return db.execute(query, values).fetchone()[0]
