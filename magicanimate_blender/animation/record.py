"""What is kept of a job on disk: one folder per job, with job.json, the inputs and the frames."""

import contextlib
import json
import math
import re
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from ..client import FileProblem, write_atomic
from .spec import JobSpec
from .states import State

FORMAT = 1
OUR_NAME = re.compile(
    r"job\.json|owner\.json|to_place|reference\.png|preview\.png|video\.mp4|recipe\.json|\.magicanimate\.json"
    r"|(frames|maps|mattes)/\d{6}\.png|(.+/)?\.[^/]+\.[0-9a-f]{8}\.part"
)
"""Names of the files in a result's folder."""


@dataclass(frozen=True)
class ResultFolder:
    """Where the files of a job lie. Frames count from 0; file names from 1, as Blender's image sequences do."""

    path: Path

    @property
    def record(self) -> Path:
        return self.path / "job.json"

    @property
    def frames(self) -> Path:
        return self.path / "frames"

    @property
    def maps(self) -> Path:
        return self.path / "maps"

    @property
    def reference(self) -> Path:
        """PNG or JPEG, as given: Blender and the server both go by content, not by name."""
        return self.path / "reference.png"

    @property
    def video(self) -> Path:
        return self.path / "video.mp4"

    @property
    def preview(self) -> Path:
        return self.path / "preview.png"

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.json"

    @property
    def owner(self) -> Path:
        """Locked by the Blender that looks after the job, see `owner`."""
        return self.path / "owner.json"

    @property
    def to_place(self) -> Path:
        """There while the result is still to be put into its scene."""
        return self.path / "to_place"

    def frame(self, frame: int) -> Path:
        return self.frames / f"{frame + 1:06d}.png"

    def map(self, frame: int) -> Path:
        return self.maps / f"{frame + 1:06d}.png"

    def files(self) -> list[Path]:
        """All files that we write, also unfinished ones. What somebody else put into the folder is not among them."""
        if not self.path.is_dir():
            return []
        present = ((path, path.relative_to(self.path).as_posix()) for path in self.path.rglob("*") if path.is_file())
        return [path for path, name in present if OUR_NAME.fullmatch(name)]

    def mark_to_place(self) -> None:
        """Have the result put into its scene when its file is open. A full disk is told by what else fails on it."""
        with contextlib.suppress(OSError):
            self.path.mkdir(parents=True, exist_ok=True)
            self.to_place.touch()

    def claim_placing(self) -> bool:
        """True for the first who asks, of all Blenders: that one puts the result into its scene."""
        try:
            self.to_place.unlink()
        except OSError:
            return False
        return True

    def fetched(self, count: int) -> set[int]:
        """Which of `count` frames are there."""
        return _numbered(self.frames, count)

    def drawn(self, count: int) -> set[int]:
        """Which of `count` part maps are there."""
        return _numbered(self.maps, count)


@dataclass(frozen=True)
class Record:
    """job.json. Times in seconds (created: since the epoch; seconds: the server's computing time).

    maps: sha256 of the label image of each frame, empty until all are drawn.
    stale: frames kept from the base although their map is another: the next partial job must not take them for right.
    computed_frames: how many frames were computed, the others being the base's.
    """

    id: str
    spec: JobSpec
    state: State
    created: float
    maps: tuple[str, ...] = ()
    stale: tuple[int, ...] = ()
    submitted: bool = False
    seconds: float | None = None
    computed_frames: int | None = None
    demo_weights: bool = False
    notes: tuple[str, ...] = ()
    problem: str = ""

    @property
    def seed(self) -> int | None:
        seed = self.spec.settings.get("seed")
        return seed if isinstance(seed, int) else None

    def save(self, folder: ResultFolder) -> None:
        """Raises FileProblem."""
        value = {**asdict(self), "format": FORMAT, "spec": self.spec.to_json(), "state": self.state.value}
        write_atomic(folder.record, json.dumps(value, indent=1).encode())

    @classmethod
    def load(cls, folder: ResultFolder) -> Self:
        """Raises FileProblem if job.json is missing or not ours."""
        try:
            return cls._from_json(json.loads(folder.record.read_bytes()))
        except OSError as error:
            raise FileProblem(
                f"There is no result in {folder.path}", fix="Animate again.", code="result-missing"
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileProblem(
                f"{folder.record} is damaged", fix="Delete this result and animate again.", code="result-damaged"
            ) from error

    @classmethod
    def _from_json(cls, value: Mapping[str, Any]) -> Self:
        if value["format"] != FORMAT:
            raise ValueError(f"format {value['format']}")
        created = float(value["created"])
        if not math.isfinite(created):
            raise ValueError("created")
        return cls(
            id=str(uuid.UUID(value["id"])),
            spec=JobSpec.from_json(value["spec"]),
            state=State(value["state"]),
            created=created,
            maps=tuple(str(digest) for digest in value["maps"]),
            stale=tuple(int(frame) for frame in value["stale"]),
            submitted=bool(value["submitted"]),
            seconds=value["seconds"],
            computed_frames=value["computed_frames"],
            demo_weights=bool(value["demo_weights"]),
            notes=tuple(str(note) for note in value["notes"]),
            problem=str(value["problem"]),
        )


def _numbered(folder: Path, count: int) -> set[int]:
    names = {path.name for path in folder.glob("*.png")} if folder.is_dir() else set()
    return {n for n in range(count) if f"{n + 1:06d}.png" in names}
