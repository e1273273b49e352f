"""The data folder: every path the server uses, made from hashes and ids only, never from a client's words."""

import contextlib
import errno
import os
import re
import shutil
import stat
import uuid
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from inference_server.errors import UserError

SHA256 = re.compile(r"[0-9a-f]{64}")
RESERVE = 2**19
"""Bytes of a file that is given up when the disk is full, so that results can still be deleted."""


class DataFolder:
    """Layout:

    token, server.json, server.lock, worker.lock, jobs.sqlite3, people.sqlite3, reserve
    blobs/ab/abcdef...        inputs by hash
    incoming/                 uploads that are not complete
    jobs/UUID/                job.json, frames/000000.png, video.mp4, preview.png, recipe.json, result.json, trajectory/
    weights/                  weight sets, their licences and hashes
    identity/                 key and certificates for content credentials
    logs/                     server.log, worker.log, audit.log
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().resolve()
        self.token = self.root / "token"
        self.server_info = self.root / "server.json"
        self.server_lock = self.root / "server.lock"
        self.worker_lock = self.root / "worker.lock"
        self.database = self.root / "jobs.sqlite3"
        self.people = self.root / "people.sqlite3"
        self.reserve = self.root / "reserve"
        self.blobs = self.root / "blobs"
        self.incoming = self.root / "incoming"
        self.jobs = self.root / "jobs"
        self.weights = self.root / "weights"
        self.identity = self.root / "identity"
        self.logs = self.root / "logs"

    def create(self) -> None:
        """Make what is missing, for this user alone, and drop leftovers of uploads. Raises UserError `data-folder`."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._keep_private()
            for folder in (self.blobs, self.incoming, self.jobs, self.weights, self.identity, self.logs):
                folder.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise UserError(
                f"The data folder {self.root} cannot be used: {(error.strerror or str(error)).lower()}",
                fix="Choose another with --data-dir.",
                code="data-folder",
            ) from error

    def _keep_private(self) -> None:
        """The folder may have been made by another program, open to other users: only its owner may look into it."""
        if os.name == "posix" and stat.S_IMODE(self.root.stat().st_mode) & 0o077:
            self.root.chmod(0o700)

    def keep_reserve(self) -> None:
        """Make the reserve if there is room for it. Real bytes: a file of holes takes no space."""
        if self.reserve.exists() or self.free_bytes() < 4 * RESERVE:
            return
        try:
            self.reserve.write_bytes(os.urandom(RESERVE))
        except OSError:
            self.reserve.unlink(missing_ok=True)

    def give_up_reserve(self) -> bool:
        """True if there was one."""
        with contextlib.suppress(OSError):
            self.reserve.unlink()
            return True
        return False

    def blob(self, sha256: str) -> Path:
        if not SHA256.fullmatch(sha256):
            raise ValueError("not a SHA-256")
        return self.blobs / sha256[:2] / sha256

    def job(self, job: UUID) -> Path:
        return self.jobs / str(job)

    def frame(self, job: UUID, frame: int) -> Path:
        return self.frames(job) / f"{frame:06d}.png"

    def frames(self, job: UUID) -> Path:
        return self.job(job) / "frames"

    def trajectory(self, job: UUID) -> Path:
        return self.job(job) / "trajectory"

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.root).free

    def is_ours(self, path: Path) -> bool:
        """True for a regular file below the root that is reached without a single symbolic link."""
        try:
            kind = path.lstat().st_mode
        except OSError:
            return False
        return stat.S_ISREG(kind) and path.resolve() == path

    def open(self, path: Path) -> BinaryIO | None:
        """Open a file for reading; None where there is none, or where a link leads elsewhere."""
        if not self.is_ours(path):
            return None
        try:
            return os.fdopen(
                os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)), "rb"
            )
        except OSError:
            return None

    def set_aside(self, job: UUID) -> Path | None:
        """Take a job's folder away at once, to be deleted by `drop`. None where there is none.

        A link in its place is dropped, not followed. Raises UserError `result-in-use`, and all is as it was: Windows
        lets nobody move a folder in which a file is open.
        """
        path = self.job(job)
        doomed = self.incoming / f"deleted-{uuid.uuid4().hex}"
        try:
            if path.is_symlink():
                path.unlink()
                return None
            os.rename(path, doomed)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UserError(
                f"The result {job} cannot be deleted: {(error.strerror or str(error)).lower()}",
                fix="Close the programs that have one of its files open, then delete it again.",
                code="result-in-use",
            ) from error
        return doomed

    def drop(self, doomed: Path | None) -> None:
        """Delete what was set aside; what cannot be deleted yet is tried again by `clear_deleted`."""
        if doomed is not None:
            shutil.rmtree(doomed, ignore_errors=True)

    def remove_job(self, job: UUID) -> None:
        """Delete a job's folder. Raises UserError `result-in-use`."""
        self.drop(self.set_aside(job))

    def remove_parts(self, job: UUID) -> None:
        """Delete what a killed worker left half written in an ended job's folder."""
        folder = self.job(job)
        shutil.rmtree(folder / "trajectory.part", ignore_errors=True)
        for path in [folder / "draft.mp4", *folder.rglob(".*.part")]:
            with contextlib.suppress(OSError):
                path.unlink()

    def clear_deleted(self) -> None:
        """Delete the rest of results whose files were open when they were deleted."""
        for doomed in self.incoming.glob("deleted-*"):
            shutil.rmtree(doomed, ignore_errors=True)

    def clear_incoming(self) -> None:
        """At a start: drop uploads that were not complete, and what a killed server left half written."""
        for entry in [*self.incoming.iterdir(), *self.root.glob(".*.part"), *self.identity.glob(".*.part")]:
            with contextlib.suppress(OSError):
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink(missing_ok=True)


def is_disk_full(error: OSError) -> bool:
    """numpy tells a short write in words alone."""
    short = error.errno is None and "requested and" in str(error)
    return short or error.errno in (errno.ENOSPC, errno.EDQUOT)


def disk_full(folder: DataFolder) -> UserError:
    return UserError(
        f"The disk of the data folder {folder.root} is full ({folder.free_bytes() // 2**20} MiB free)",
        fix="Delete old results or free some space, then try again: it goes on where it was.",
        code="disk-full",
    )
