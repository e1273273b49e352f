"""Bringing a job's frames, video and previews from the server into its folder."""

import time
from collections.abc import Callable, Iterable

from ..client import BadAnswer, Client, Job, ServerProblem, write_atomic
from .states import State
from .status import Status
from .transfer import fetch_frames

PREVIEW_EVERY = 1.0
"""Seconds between previews, at least."""


class Fetching:
    """check: called between files; it raises when the job is no longer wanted."""

    def __init__(self, status: Status, check: Callable[[], None]) -> None:
        self._status = status
        self._folder = status.folder
        self._check = check
        self._frames = status.record.spec.frames
        self._fetched: set[int] = set()
        self._preview_at = 0.0
        self._preview_step = -1

    def look(self) -> bool:
        """See which frames an earlier session has fetched; True if none is missing."""
        self._fetched = self._folder.fetched(self._frames)
        self._status.show(frames_fetched=len(self._fetched))
        return len(self._fetched) == self._frames

    def fetch(self, client: Client, frames: Iterable[int] | None = None) -> None:
        """Fetch those of `frames` (default: all) that are ready and not here yet."""
        wanted = set(range(self._frames) if frames is None else frames) - self._fetched
        for frame in fetch_frames(client, self._status.record.id, self._folder, wanted):
            self._fetched.add(frame)
            count = len(self._fetched)
            self._status.show(frames_fetched=count)
            if self._status.state is State.FETCHING:
                self._status.show(fraction=count / self._frames)
            self._check()

    def finish(self, client: Client, job: Job) -> None:
        """Everything of a job that is done."""
        self._status.enter(State.FETCHING, stage="", eta_s=None)
        if self._status.record.spec.base is not None:
            # The base's frames came first, and those near a changed one were computed again since.
            self._fetched.clear()
        self.fetch(client)
        if missing := set(range(self._frames)) - self._fetched:
            raise BadAnswer(f"The server says that the job is done, but frame {min(missing)} is not there")
        client.recipe(job.id, self._folder.recipe)
        self._check()
        client.video(job.id, self._folder.video)
        self._preview(client)
        if job.result is not None:
            everything = job.result.computed_frames == self._frames  # the server may have had to, and says why
            self._status.keep(
                seconds=job.result.seconds,
                computed_frames=job.result.computed_frames,
                demo_weights=job.result.demo_weights,
                stale=() if everything else self._status.record.stale,
            )

    def preview_of(self, client: Client, job: Job) -> None:
        """Fetch the preview of a running job if it moved on and the last one is old."""
        step = job.progress.step + job.progress.frames_done
        if step != self._preview_step and time.monotonic() - self._preview_at > PREVIEW_EVERY:
            self._preview_step = step
            self._preview(client)

    def _preview(self, client: Client) -> None:
        self._preview_at = time.monotonic()
        try:
            write_atomic(self._folder.preview, client.preview(self._status.record.id))
        except ServerProblem:
            return  # there is none yet
        version = self._status.snapshot.preview_version + 1
        self._status.show(preview=self._folder.preview, preview_version=version)
