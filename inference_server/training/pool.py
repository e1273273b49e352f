"""Training clips on disk: drawing them costs more than reading them back, and a resumed run sees the same ones."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_server.training.characters import TRAINING_STREAM, Clip, make_clips

LOOKS_PER_MOTION = 2


class ClipPool:
    """A folder of clips, one file per motion; clip n is look n % LOOKS_PER_MOTION of motion n // LOOKS_PER_MOTION."""

    def __init__(self, folder: Path, size: int, motions: int) -> None:
        self.folder = folder
        self.size = size
        self.motions = motions

    def fill(self) -> Iterator[int]:
        """Make what is missing; yields the number of motions made so far."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for motion in range(self.motions):
            path = self._path(motion)
            if not path.exists():
                clips = make_clips(TRAINING_STREAM, motion, size=self.size, looks=LOOKS_PER_MOTION)
                partial = path.with_suffix(".part")
                with partial.open("wb") as file:
                    np.savez(
                        file,
                        frames=np.stack([c.frames for c in clips]),
                        references=np.stack([c.references for c in clips]),
                        parts=clips[0].parts,
                        reference_parts=clips[0].reference_parts,
                    )
                partial.rename(path)
            yield motion + 1

    def __len__(self) -> int:
        return self.motions * LOOKS_PER_MOTION

    def __getitem__(self, number: int) -> Clip:
        data = self._load(number // LOOKS_PER_MOTION)
        look = number % LOOKS_PER_MOTION
        return Clip(data["frames"][look], data["parts"], data["references"][look], data["reference_parts"])

    @lru_cache(maxsize=256)  # noqa: B019 - one pool lives as long as the run
    def _load(self, motion: int) -> dict[str, NDArray[Any]]:
        with np.load(self._path(motion)) as data:
            return dict(data)

    def _path(self, motion: int) -> Path:
        return self.folder / f"motion_{motion:05d}.npz"
