"""Inputs by content hash: a name says what is in the file, so uploads can be repeated, resumed and shared."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from inference_server.errors import UserError
from inference_server.jobs.folder import DataFolder
from inference_server.jobs.people import SINGLE, People, Person
from inference_server.media.images import read_file
from inference_server.media.limits import Limits

log = logging.getLogger(__name__)


class Blobs:
    """A hash is no secret: whoever is no admin gets only at what they have uploaded themselves."""

    def __init__(self, folder: DataFolder, limits: Limits, people: People | None = None) -> None:
        self._folder = folder
        self._limits = limits
        self._people = people

    def touch(self, sha256: str, person: Person = SINGLE) -> bool:
        """True if it is theirs; it then counts as new, so that clean-up leaves it for the job that is about to come."""
        if self.missing([sha256], person):
            return False
        os.utime(self._folder.blob(sha256))
        return True

    def missing(self, hashes: Iterable[str], person: Person = SINGLE) -> list[str]:
        wanted = list(dict.fromkeys(hashes))
        if not person.admin and self._people is not None:
            theirs = self._people.uploaded(person.name, wanted)
        else:
            theirs = set(wanted)
        return [digest for digest in wanted if digest not in theirs or not self._is_here(digest)]

    def note_upload(self, sha256: str, person: Person) -> None:
        if not person.admin and self._people is not None:
            self._people.add_upload(person.name, sha256, self._folder.blob(sha256).stat().st_size)

    def _is_here(self, sha256: str) -> bool:
        return self._folder.is_ours(self._folder.blob(sha256))

    @contextmanager
    def upload(self, sha256: str) -> Iterator["Upload"]:
        """Take a blob in pieces; it gets its name when `finish` found it whole, and vanishes if that never comes."""
        handle, name = tempfile.mkstemp(dir=self._folder.incoming)
        upload = Upload(handle, Path(name), self._folder.blob(sha256), sha256, self._limits.upload_bytes)
        try:
            yield upload
        finally:
            upload.abandon()

    def read(self, sha256: str) -> bytes:
        """Raises UserError `blob-missing`, or `blob-damaged` if the disk no longer holds what was sent."""
        path = self._folder.blob(sha256)
        if not self._folder.is_ours(path):
            raise UserError(f"The input {sha256[:12]}... is gone", fix="Send the job again.", code="blob-missing")
        data = read_file(path)
        if hashlib.sha256(data).hexdigest() != sha256:
            path.unlink(missing_ok=True)
            raise UserError(
                f"The input {sha256[:12]}... is damaged on disk", fix="Send the job again.", code="blob-damaged"
            )
        return data

    def erase(self, hashes: Iterable[str]) -> list[str]:
        """Delete these blobs at once. Returns those that are gone; one that is open elsewhere (Windows) is not."""
        gone = []
        for digest in hashes:
            try:
                self._folder.blob(digest).unlink(missing_ok=True)
                gone.append(digest)
            except OSError as error:
                log.error("input %s could not be deleted: %s", digest, error)
        if self._people is not None:
            self._people.forget_uploads(gone)
        return gone

    def remove_unused(self, used: set[str], older_than: float) -> list[str]:
        """Delete blobs that no job names and that came before `older_than` (epoch seconds). Returns their hashes."""
        removed = []
        for path in self._folder.blobs.glob("*/*"):
            try:
                if path.name not in used and path.lstat().st_mtime < older_than:
                    path.unlink()
                    removed.append(path.name)
            except OSError:
                continue
        if self._people is not None:
            self._people.forget_uploads(removed)
        return removed


class Upload:
    def __init__(self, handle: int, temporary: Path, target: Path, sha256: str, max_bytes: int) -> None:
        self._file = os.fdopen(handle, "wb", buffering=0)
        self._temporary = temporary
        self._target = target
        self._sha256 = sha256
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> None:
        """Raises UserError `upload-too-large`, OSError when the disk is full."""
        self._size += len(data)
        if self._size > self._max_bytes:
            raise UserError(
                f"The upload is larger than {self._max_bytes:,} bytes",
                fix="Send a smaller picture.",
                code="upload-too-large",
            )
        self._hash.update(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def finish(self, check: Callable[[Path], object]) -> None:
        """Give it its name. Raises UserError `hash-mismatch`, or what `check` raises for the finished file."""
        self._file.close()
        if self._hash.hexdigest() != self._sha256:
            raise UserError(
                "The uploaded bytes do not have the hash in the address",
                fix="Hash the very bytes that are sent, with SHA-256, and send them again.",
                code="hash-mismatch",
            )
        check(self._temporary)
        self._target.parent.mkdir(exist_ok=True, mode=0o700)
        os.replace(self._temporary, self._target)

    def abandon(self) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)
