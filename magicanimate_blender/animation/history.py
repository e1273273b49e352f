"""Results on disk, newest first."""

import uuid
from pathlib import Path

from ..client import FileProblem
from .record import Record, ResultFolder
from .trash import Trash


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
        """Delete a result's files for good; none being there is well. Raises FileProblem when some can't be deleted."""
        trash = Trash(self.root)
        trash.throw(self.folder(job).files())
        trash.empty(str(uuid.UUID(job)))

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
