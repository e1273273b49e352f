"""Who may use the server: a token per person, of which only a hash is kept, and whose picture is whose."""

import hashlib
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference_server.errors import UserError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
RESERVED = "admin"
MAX_JOBS = 100
MAX_BYTES = 50 * 10**9

TABLES = """
CREATE TABLE IF NOT EXISTS people (
    name TEXT PRIMARY KEY,
    token BLOB NOT NULL UNIQUE,  -- SHA-256; enough for 256 random bits, which nobody can try out
    admin INTEGER NOT NULL,
    max_jobs INTEGER NOT NULL,
    max_bytes INTEGER NOT NULL,
    created_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS uploads (
    owner TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (owner, sha256)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Person:
    """`name` owns jobs; the server's own token belongs to "", who is shown as admin. An admin sees everybody's.

    max_jobs: queued and running at a time. max_bytes: of results and uploads. Neither is asked of an admin.
    """

    name: str = ""
    admin: bool = False
    max_jobs: int = MAX_JOBS
    max_bytes: int = MAX_BYTES

    @property
    def shown(self) -> str:
        return self.name or RESERVED

    def may_see(self, owner: str | None) -> bool:
        return self.admin or owner == self.name


SINGLE = Person("", admin=True)
"""Who has the token of the data folder: for one person, everything is theirs."""


class People:
    """All calls may come from any thread; other processes (`serve tokens`) may change the file meanwhile."""

    def __init__(self, path: Path) -> None:
        """Raises UserError `people-damaged`, and sqlite3.OperationalError when the disk is full."""
        self._lock = threading.Lock()
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
        try:
            self._db.executescript("PRAGMA journal_mode=WAL;" + TABLES)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"The list of people, {path}, cannot be read: {error}",
                fix="Restore it, or move it away and make everybody a new token; jobs keep their owners.",
                code="people-damaged",
            ) from error

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def add(self, name: str, *, admin: bool, max_jobs: int = MAX_JOBS, max_bytes: int = MAX_BYTES) -> str:
        """The new person's token, which is told only now. Raises UserError `bad-name`, `name-taken`."""
        if not NAME.fullmatch(name) or name.lower() == RESERVED:
            raise UserError(
                f"{name!r} cannot be somebody's name",
                fix=f"Use up to 64 letters, digits, dots, dashes and underscores, and not {RESERVED!r}.",
                code="bad-name",
            )
        token = secrets.token_urlsafe(32)
        try:
            self._run(
                "INSERT INTO people VALUES (?, ?, ?, ?, ?, ?)",
                (name, _digest(token.encode()), admin, max_jobs, max_bytes, time.time()),
            )
        except sqlite3.IntegrityError:
            raise UserError(f"{name} has a token", fix="Revoke it first.", code="name-taken") from None
        return token

    def revoke(self, name: str) -> None:
        """Raises UserError `no-such-person`. What they made stays theirs, should they get a token again."""
        if not self._run("DELETE FROM people WHERE name = ? RETURNING name", (name,)):
            raise UserError(f"Nobody is called {name!r}", fix="See `serve tokens list`.", code="no-such-person")

    def all(self) -> list[Person]:
        return [_person(row) for row in self._run("SELECT name, admin, max_jobs, max_bytes FROM people ORDER BY name")]

    def find(self, token: bytes) -> Person | None:
        query = "SELECT name, admin, max_jobs, max_bytes FROM people WHERE token = ?"
        rows = self._run(query, (_digest(token),))
        return _person(rows[0]) if rows else None

    def still_has_access(self, person: Person) -> bool:
        return person == SINGLE or bool(self._run("SELECT 1 FROM people WHERE name = ?", (person.name,)))

    # uploads: who has shown that they have a file; an admin needs not

    def add_upload(self, owner: str, sha256: str, size: int) -> None:
        self._run("INSERT OR IGNORE INTO uploads VALUES (?, ?, ?)", (owner, sha256, size))

    def uploaded(self, owner: str, hashes: Iterable[str]) -> set[str]:
        """Those of the hashes that they have uploaded."""
        query = "SELECT sha256 FROM uploads WHERE owner = ? AND sha256 = ?"
        with self._lock:
            return {digest for digest in hashes if self._db.execute(query, (owner, digest)).fetchone()}

    def uploaded_bytes(self, owner: str) -> int:
        return int(self._run("SELECT coalesce(sum(size), 0) FROM uploads WHERE owner = ?", (owner,))[0][0])

    def forget_uploads(self, hashes: Iterable[str]) -> None:
        with self._lock:
            self._db.executemany("DELETE FROM uploads WHERE sha256 = ?", [(digest,) for digest in hashes])

    def _run(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(query, values).fetchall()


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def _person(row: tuple[Any, ...]) -> Person:
    name, admin, max_jobs, max_bytes = row
    return Person(name, bool(admin), max_jobs, max_bytes)
