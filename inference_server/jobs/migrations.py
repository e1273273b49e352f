"""The tables of the job store, version by version (`PRAGMA user_version`).

A step is never changed once it is released: a new one is added at the end. The first is what 0.1.0 wrote, which kept no
version. Later steps should only add tables and columns with defaults, so that an older server can still read its part.
"""

import json
import sqlite3
from collections.abc import Callable

from inference_server.errors import UserError

COLUMNS = (
    "id, number, rank, state, owner, outline, created_at, started_at, finished_at, notes, problem, result, pinned, "
    "low_memory, died_at, stale, cancelling"
)
"""Of `jobs`, as this version reads them."""


def migrate(db: sqlite3.Connection) -> None:
    """Bring the tables to this version, all steps or none.

    Tables of a later version are used as they are if they have what this one reads. Raises UserError
    `store-too-new` if they have not.
    """
    version = version_of(db)
    if version > len(STEPS):
        _check_later(db, version)
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        for step in STEPS[version:]:
            step(db)
        db.execute(f"PRAGMA user_version = {len(STEPS)}")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def version_of(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _check_later(db: sqlite3.Connection, version: int) -> None:
    try:
        for query in (f"SELECT {COLUMNS} FROM jobs", "SELECT id, body FROM bodies"):
            db.execute(f"{query} LIMIT 0")
    except sqlite3.OperationalError as error:
        raise UserError(
            f"The list of jobs was written by a newer server (version {version} of its tables): {error}",
            fix="Install the newer server again, or give another --data-dir.",
            code="store-too-new",
        ) from error


def _first_tables(db: sqlite3.Connection) -> None:
    for statement in (
        """CREATE TABLE IF NOT EXISTS jobs (
            id TEXT PRIMARY KEY,
            number INTEGER NOT NULL UNIQUE,
            rank REAL NOT NULL,
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
            died_at TEXT,
            stale TEXT NOT NULL DEFAULT '[]'
        )""",
        "CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, rank)",
        "CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
        "CREATE TABLE IF NOT EXISTS consents (reference TEXT PRIMARY KEY, given_at REAL NOT NULL)",
        """CREATE TABLE IF NOT EXISTS checked_maps (
            sha256 TEXT PRIMARY KEY, width INTEGER NOT NULL, height INTEGER NOT NULL
        )""",
    ):
        db.execute(statement)


def _owners_and_outlines(db: sqlite3.Connection) -> None:
    """Jobs and consents get an owner, and bodies (70 kB at 1,000 frames) a table of their own."""
    for statement in (
        "ALTER TABLE jobs RENAME TO jobs_before",
        "DROP INDEX jobs_by_state",
        """CREATE TABLE jobs (
            id TEXT PRIMARY KEY,
            number INTEGER NOT NULL UNIQUE,   -- order of creation; clocks jump, this does not
            rank REAL NOT NULL,               -- order in the queue
            state TEXT NOT NULL,
            owner TEXT NOT NULL DEFAULT '',   -- '' is the single user
            outline TEXT NOT NULL,            -- the body without its lists of frames
            created_at REAL NOT NULL,
            started_at REAL,
            finished_at REAL,
            notes TEXT NOT NULL DEFAULT '[]',
            problem TEXT,
            result TEXT,
            pinned INTEGER NOT NULL DEFAULT 0,
            low_memory INTEGER NOT NULL DEFAULT 0,
            died_at TEXT,                     -- where its worker died last: stage, step and frame
            stale TEXT NOT NULL DEFAULT '[]', -- frames whose picture is older than their map (body.keep)
            cancelling INTEGER NOT NULL DEFAULT 0
        )""",
        "CREATE TABLE bodies (id TEXT PRIMARY KEY, body TEXT NOT NULL)",
        """INSERT INTO jobs (id, number, rank, state, outline, created_at, started_at, finished_at, notes, problem,
                             result, pinned, low_memory, died_at, stale)
           SELECT id, number, rank, state, '', created_at, started_at, finished_at, notes, problem, result, pinned,
                  low_memory, died_at, stale FROM jobs_before""",
        "INSERT INTO bodies SELECT id, body FROM jobs_before",
        "DROP TABLE jobs_before",
        "CREATE INDEX jobs_by_state ON jobs (state, rank)",
        "ALTER TABLE consents RENAME TO consents_before",
        """CREATE TABLE consents (
            owner TEXT NOT NULL DEFAULT '', reference TEXT NOT NULL, given_at REAL NOT NULL,
            PRIMARY KEY (owner, reference)
        )""",
        "INSERT INTO consents SELECT '', reference, given_at FROM consents_before",
        "DROP TABLE consents_before",
    ):
        db.execute(statement)
    for (job,) in db.execute("SELECT id FROM bodies").fetchall():
        (body,) = db.execute("SELECT body FROM bodies WHERE id = ?", (job,)).fetchone()
        db.execute("UPDATE jobs SET outline = ? WHERE id = ?", (_outline(body), job))


def _outline(body: str) -> str:
    """JSON of the body's fields without tracks, redo and keep; '' for a body that cannot be read."""
    try:
        fields = json.loads(body)
        frames = len(next(iter(fields["tracks"].values())))
        lists = ("tracks", "redo", "keep", "consent")
        return json.dumps({**{name: value for name, value in fields.items() if name not in lists}, "frames": frames})
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
        return ""


STEPS: tuple[Callable[[sqlite3.Connection], None], ...] = (_first_tables, _owners_and_outlines)
