"""The data folder: every path the server uses, made from hashes and ids only, never from a client's words."""

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


class DataFolder:
    """Layout:

    token, server.json, server.lock, worker.lock, jobs.sqlite3, people.sqlite3
    blobs/ab/abcdef...        inputs by hash
    incoming/                 uploads that are not complete
    jobs/UUID/                frames/000000.png, video.mp4, preview.png, recipe.json, result.json, trajectory/
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
            for folder in (self.blobs, self.incoming, self.jobs, self.weights, self.identity, self.logs):
                folder.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise UserError(
                f"The data folder {self.root} cannot be used: {(error.strerror or str(error)).lower()}",
                fix="Choose another with --data-dir.",
                code="data-folder",
            ) from error

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

    def remove_job(self, job: UUID) -> None:
        """Delete a job's folder; a link in its place is dropped, not followed."""
        path = self.job(job)
        if path.is_symlink():
            path.unlink()
            return
        doomed = self.incoming / f"deleted-{uuid.uuid4().hex}"
        try:
            os.rename(path, doomed)
        except FileNotFoundError:
            return
        shutil.rmtree(doomed, ignore_errors=True)

    def clear_incoming(self) -> None:
        for entry in self.incoming.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)


def disk_full(folder: DataFolder) -> UserError:
    return UserError(
        f"The disk of the data folder {folder.root} is full ({folder.free_bytes() // 2**20} MiB free)",
        fix="Delete old results or free some space, then try again: it goes on where it was.",
        code="disk-full",
    )
