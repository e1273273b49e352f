"""One animation from drawn maps to frames on disk: plain calls for the main thread, one thread for all waiting."""

import threading
import time
from typing import Self

from ..client import sha256
from .drawn_maps import DrawnMaps
from .record import Record, ResultFolder
from .server_source import ServerSource
from .spec import JobSpec
from .states import Snapshot, State
from .status import Status
from .work import Work


class Animation:
    """A job. Public calls return at once; they are for one thread, Blender's main thread.

    patience: seconds to look for a server that was lost before the job fails; None: for ever.
    """

    def __init__(
        self,
        folder: ResultFolder,
        record: Record,
        server: ServerSource,
        *,
        reference: bytes | None = None,
        patience: float | None = None,
    ) -> None:
        self.id = record.id
        self.folder = folder
        self.spec: JobSpec = record.spec
        self._server = server
        self._patience = patience
        self._reference = reference
        self._maps = DrawnMaps(folder, self.spec.frames)
        self._record = record
        self._go()

    @classmethod
    def start(
        cls,
        folder: ResultFolder,
        job: str,
        spec: JobSpec,
        reference: bytes,
        server: ServerSource,
        *,
        patience: float | None = None,
    ) -> Self:
        """A new job; its maps are still to be added. Raises ValueError if `reference` is not that of `spec`."""
        if sha256(reference) != spec.reference:
            raise ValueError("spec.reference is not the sha256 of the reference picture")
        if spec.frames < 1:
            raise ValueError("an animation has at least one frame")
        record = Record(job, spec, State.DRAWING, time.time())
        return cls(folder, record, server, reference=reference, patience=patience)

    @classmethod
    def resume(cls, folder: ResultFolder, server: ServerSource, *, patience: float | None = None) -> Self:
        """A job that an earlier session of Blender began, from its folder. Raises FileProblem.

        If its maps were not all drawn then, `missing_maps` says which are wanted. One that failed or was cancelled
        stays so until `retry`.
        """
        return cls(folder, Record.load(folder), server, patience=patience)

    def missing_maps(self) -> list[int]:
        """Frames whose part map has not been added yet, ascending."""
        return self._maps.missing()

    def wants_maps(self) -> bool:
        """False once it has ended or was told to: nothing needs to be drawn for it any more."""
        return not (self._work.interrupted or self.poll().state.ended)

    def add_map(self, frame: int, png: bytes) -> None:
        """Add the indexed label PNG of frame `frame` (from 0). Raises ValueError for a frame that is not wanted."""
        self._maps.add(frame, png)

    def poll(self) -> Snapshot:
        """The job as it is now."""
        return self._work.status.snapshot

    @property
    def record(self) -> Record:
        """What is kept of the job on disk, as it is now."""
        return self._work.status.record

    def cancel(self) -> None:
        """End it here and in the server. Frames that are decoded by then are kept."""
        self._work.cancel()

    def retry(self) -> None:
        """After a failure or a cancel, go on with what is there already."""
        if self.poll().state in (State.FAILED, State.CANCELLED):
            self._thread.join()  # it set that state as its last act
            self._record = self.record
            self._go(retry=True)

    def detach(self, timeout: float = 2.0) -> None:
        """Stop looking after it; the server goes on with it, and `resume` finds it again."""
        self._work.detach()
        self._thread.join(timeout)

    def _go(self, *, retry: bool = False) -> None:
        self._work = Work(
            Status(self.folder, self._record, retry=retry),
            self._server,
            self._maps,
            reference=self._reference,
            patience=self._patience,
            retry=retry,
        )
        self._thread = threading.Thread(target=self._work.run, name=f"magicanimate job {self.id}", daemon=True)
        self._thread.start()
