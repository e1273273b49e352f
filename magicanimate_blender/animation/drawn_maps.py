"""The part maps of a job on their way from whoever draws them to the disk."""

import queue
from collections.abc import Callable

from ..client import ClientError, sha256, write_atomic
from ..client.files import file_problem
from .record import ResultFolder


class DrawnMaps:
    """`missing` and `add` are for the thread that draws, `collect` for the job's own, which may wait for the disk."""

    def __init__(self, folder: ResultFolder, frames: int) -> None:
        self._folder = folder
        self._frames = frames
        self._missing = set(range(frames)) - folder.drawn(frames)
        self._inbox: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()

    def missing(self) -> list[int]:
        return sorted(self._missing)

    @property
    def waiting(self) -> bool:
        """Whether maps were added that `collect` has not written yet."""
        return not self._inbox.empty()

    def add(self, frame: int, png: bytes) -> None:
        """Raises ValueError for a frame that is not wanted."""
        if frame not in self._missing:
            raise ValueError(f"the part map of frame {frame} is not wanted")
        self._missing.discard(frame)
        self._inbox.put((frame, png))

    def collect(self, tick: float, progress: Callable[[int], None]) -> tuple[str, ...]:
        """Write maps as they come until all are there; returns the sha256 of each. Raises FileProblem.

        progress(count): called after each and at least every `tick` seconds; it may raise to stop.
        """
        digests = {frame: self._digest(frame) for frame in self._folder.drawn(self._frames)}
        while len(digests) < self._frames:
            progress(len(digests))
            try:
                frame, png = self._inbox.get(timeout=tick)
            except queue.Empty:
                continue
            try:
                write_atomic(self._folder.map(frame), png)
            except ClientError:
                self._inbox.put((frame, png))  # for a retry
                raise
            digests[frame] = sha256(png)
        return tuple(digests[n] for n in range(self._frames))

    def _digest(self, frame: int) -> str:
        path = self._folder.map(frame)
        try:
            return sha256(path.read_bytes())
        except OSError as error:
            raise file_problem(path, error) from error
