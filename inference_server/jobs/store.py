"""Jobs on disk: SQLite in WAL mode, so that a job that was accepted outlives every kind of death of this process."""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from inference_server.jobs.model import ENDED, JobBody, JobProblem, JobResult, State

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY,
    number INTEGER NOT NULL UNIQUE,   -- order of creation; clocks jump, this does not
    rank REAL NOT NULL,               -- order in the queue
    state TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at REAL NOT NULL,
    started_at REAL,
    finished_at REAL,
    notes TEXT NOT NULL DEFAULT '[]',
    problem TEXT,
    result TEXT,
    pinned INTEGER NOT NULL DEFAULT 0,
    low_memory INTEGER NOT NULL DEFAULT 0,
    died_at TEXT,                     -- where its worker died last: stage, step and frame
    stale TEXT NOT NULL DEFAULT '[]'  -- frames whose picture is older than their map (body.keep)
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, rank);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS consents (reference TEXT PRIMARY KEY, given_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS checked_maps (sha256 TEXT PRIMARY KEY, width INTEGER NOT NULL, height INTEGER NOT NULL);
"""


@dataclass
class Record:
    """One row of `jobs`."""

    id: UUID
    number: int
    rank: float
    state: State
    body: JobBody
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

    @property
    def ended(self) -> bool:
        return self.state in ENDED


class Store:
    """All calls may come from any thread. Raises sqlite3.OperationalError when the disk is full."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
        self._connection.row_factory = sqlite3.Row
        # A power cut must not lose an accepted job either, hence FULL; writes are few.
        self._connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def add(self, job: UUID, body: JobBody, now: float) -> Record:
        """Append a queued job, and note the consent for its picture."""
        with self._transaction() as db:
            number = _scalar(db, "SELECT coalesce(max(number), 0) + 1 FROM jobs")
            rank = _scalar(db, "SELECT coalesce(max(rank), 0) + 1 FROM jobs")
            db.execute(
                "INSERT INTO jobs (id, number, rank, state, body, created_at) VALUES (?, ?, ?, 'queued', ?, ?)",
                (str(job), number, rank, body.model_dump_json(), now),
            )
            db.execute("INSERT OR IGNORE INTO consents VALUES (?, ?)", (body.reference, now))
        return Record(job, number, rank, "queued", body, now)

    def get(self, job: UUID) -> Record | None:
        rows = self._select("WHERE id = ?", (str(job),))
        return rows[0] if rows else None

    def newest(self, limit: int) -> list[Record]:
        return self._select("ORDER BY number DESC LIMIT ?", (limit,))

    def newest_ids(self) -> list[UUID]:
        with self._lock:
            rows = self._connection.execute("SELECT id FROM jobs ORDER BY number DESC").fetchall()
        return [UUID(row[0]) for row in rows]

    def in_state(self, *states: State) -> list[Record]:
        """In queue order."""
        marks = ",".join("?" * len(states))
        return self._select(f"WHERE state IN ({marks}) ORDER BY rank", states)

    def ids_in_state(self, state: State) -> list[UUID]:
        """In queue order, without reading the bodies."""
        with self._lock:
            rows = self._connection.execute("SELECT id FROM jobs WHERE state = ? ORDER BY rank", (state,)).fetchall()
        return [UUID(row[0]) for row in rows]

    def next_queued(self) -> Record | None:
        rows = self._select("WHERE state = 'queued' ORDER BY rank LIMIT 1", ())
        return rows[0] if rows else None

    def count(self, state: State) -> int:
        with self._lock:
            return int(_scalar(self._connection, "SELECT count(*) FROM jobs WHERE state = ?", state))

    def ahead_of(self, record: Record) -> int:
        """Jobs that come before a queued one, the running one included."""
        with self._lock:
            query = "SELECT count(*) FROM jobs WHERE state = 'running' OR (state = 'queued' AND rank < ?)"
            return int(_scalar(self._connection, query, record.rank))

    def update(self, record: Record) -> None:
        """Write every field but id, number and body, which never change."""
        with self._transaction() as db:
            db.execute(
                "UPDATE jobs SET rank=?, state=?, started_at=?, finished_at=?, notes=?, problem=?, result=?, pinned=?, "
                "low_memory=?, died_at=?, stale=? WHERE id=?",
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
                    str(record.id),
                ),
            )

    def delete(self, job: UUID) -> None:
        with self._transaction() as db:
            db.execute("DELETE FROM jobs WHERE id = ?", (str(job),))

    def move_to_end(self, record: Record) -> None:
        with self._lock:
            record.rank = _scalar(self._connection, "SELECT coalesce(max(rank), 0) + 1 FROM jobs")

    def reorder(self, order: Iterable[UUID]) -> None:
        """Queued jobs in `order` come first, in that order; the others follow as they were."""
        with self._transaction() as db:
            queued = [row[0] for row in db.execute("SELECT id FROM jobs WHERE state = 'queued' ORDER BY rank")]
            wanted = [name for name in dict.fromkeys(map(str, order)) if name in set(queued)]
            ranks = sorted(row[0] for row in db.execute("SELECT rank FROM jobs WHERE state = 'queued'"))
            result = wanted + [name for name in queued if name not in set(wanted)]
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

    def forget_maps(self, digests: Iterable[str]) -> None:
        with self._transaction() as db:
            db.executemany("DELETE FROM checked_maps WHERE sha256 = ?", [(digest,) for digest in digests])

    def consent_given_at(self, reference: str) -> float | None:
        with self._lock:
            row = self._connection.execute("SELECT given_at FROM consents WHERE reference = ?", (reference,)).fetchone()
        return row[0] if row else None

    def used_blobs(self) -> set[str]:
        """Hashes that some job names."""
        with self._lock:
            bodies = [json.loads(row[0]) for row in self._connection.execute("SELECT body FROM jobs")]
        used = {body["reference"] for body in bodies}
        return used.union(*(maps for body in bodies for maps in body["tracks"].values()))

    def _select(self, rest: str, values: Iterable[Any]) -> list[Record]:
        with self._lock:
            rows = self._connection.execute(f"SELECT * FROM jobs {rest}", tuple(values)).fetchall()
        return [_record(row) for row in rows]


def _record(row: sqlite3.Row) -> Record:
    return Record(
        id=UUID(row["id"]),
        number=row["number"],
        rank=row["rank"],
        state=row["state"],
        body=JobBody.model_validate_json(row["body"]),
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
    )


def _scalar(db: sqlite3.Connection, query: str, *values: Any) -> Any:
    return db.execute(query, values).fetchone()[0]
