"""Results on disk, newest first."""

import os
import shutil
import uuid
from pathlib import Path

from ..client import FileProblem
from .record import Record, ResultFolder


class History:
    """The results under one folder, read afresh at every call, so that several Blenders may share it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, job: str) -> ResultFolder:
        """Raises FileProblem if `job` is no id: an id from a .blend file must never lead to another folder."""
        try:
            return ResultFolder(self.root / str(uuid.UUID(job)))
        except ValueError:
            raise FileProblem(f"{job!r} is no result's id", fix="Animate again.", code="result-missing") from None

    def records(self) -> list[Record]:
        """All readable records, newest first; damaged ones are left out, see `damaged`."""
        return sorted(self._read()[0], key=lambda record: (-record.created, record.id))

    def damaged(self) -> list[Path]:
        """Folders whose job.json can't be read."""
        return sorted(self._read()[1])

    def get(self, job: str) -> Record:
        """Raises FileProblem `result-missing` or `result-damaged`."""
        return Record.load(self.folder(job))

    def thumbnail(self, record: Record) -> Path | None:
        """A picture of the result: its preview, else its first frame, else None."""
        folder = self.folder(record.id)
        return next((path for path in (folder.preview, folder.frame(0)) if path.is_file()), None)

    def delete(self, job: str) -> None:
        """Delete a result's files; none being there is well. Raises FileProblem when some can't be deleted."""
        folder = self.folder(job).path
        if not folder.is_dir():
            return
        # Renamed first: whatever happens then, nobody takes half of it for a result.
        doomed = folder.with_name(f".{folder.name}.deleted")
        try:
            os.replace(folder, doomed)
            shutil.rmtree(doomed)
        except OSError as error:
            raise FileProblem(
                f"{folder} can't be deleted: {error.strerror or error}",
                fix="Close programs that use its files, then try again.",
                code="file-problem",
            ) from error

    def _read(self) -> tuple[list[Record], list[Path]]:
        records, damaged = [], []
        for path in self.root.glob("*/job.json"):
            if path.parent.name.startswith("."):
                continue
            try:
                records.append(Record.load(ResultFolder(path.parent)))
            except FileProblem:
                damaged.append(path.parent)
        return records, damaged
