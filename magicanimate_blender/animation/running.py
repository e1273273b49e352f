"""The jobs that this Blender looks after."""

import uuid
from pathlib import Path

from .history import History
from .job import Animation
from .owner import Owner
from .record import Record
from .server_source import ServerSource
from .spec import JobSpec
from .states import Snapshot, State


class Animations:
    """Jobs by id, in the order they were started. For one thread, Blender's main thread.

    root: the folder of all results; one folder per job is made in it.
    patience: see Animation.
    """

    def __init__(self, root: Path, server: ServerSource, *, patience: float | None = None) -> None:
        self.history = History(root)
        self.server = server
        self._patience = patience
        self._jobs: dict[str, Animation] = {}

    def start(self, spec: JobSpec, reference: bytes) -> Animation:
        """A new job, whose maps are to be added. Raises ValueError if `reference` is not that of `spec`."""
        job = str(uuid.uuid4())
        self._jobs[job] = Animation.start(
            self.history.folder(job), job, spec, reference, self.server, patience=self._patience
        )
        return self._jobs[job]

    def resume(self, job: str) -> Animation:
        """The job with this id, looked after again if it was not.

        Raises FileProblem if there is none on disk, or another Blender looks after it (`other-blender`).
        """
        if job not in self._jobs:
            self._jobs[job] = Animation.resume(self.history.folder(job), self.server, patience=self._patience)
        return self._jobs[job]

    def get(self, job: str) -> Animation | None:
        return self._jobs.get(job)

    def unfinished(self) -> list[str]:
        """Ids of jobs on disk that have not ended and that nobody here looks after: what a restart left behind."""
        records = self.history.records()
        return [record.id for record in records if not record.state.ended and record.id not in self._jobs]

    def to_place(self) -> list[Record]:
        """Finished jobs on disk whose result nobody has put into its scene, nor is about to."""
        return [record for record in self.history.records() if record.state is State.DONE and self._is_free(record)]

    def _is_free(self, record: Record) -> bool:
        folder = self.history.folder(record.id)
        if not folder.to_place.exists():
            return False
        owner = Owner(folder.owner)
        free = record.id in self._jobs or owner.take()
        owner.release()
        return free

    def poll(self) -> list[tuple[Animation, Snapshot]]:
        """Every job as it is now."""
        return [(job, job.poll()) for job in self._jobs.values()]

    def busy(self) -> bool:
        """Whether any job has still to end."""
        return any(not now.state.ended for _, now in self.poll())

    def forget(self, job: str) -> None:
        """Stop looking after a job, as before deleting its result."""
        if (animation := self._jobs.pop(job, None)) is not None:
            animation.detach()

    def close(self, timeout: float = 2.0) -> None:
        """Stop looking after all jobs; the server goes on with them."""
        for animation in self._jobs.values():
            animation.detach(timeout=0.0)
        for animation in self._jobs.values():
            animation.detach(timeout)
        self._jobs.clear()
