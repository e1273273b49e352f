"""Latents of every step of a run, on disk: to go on after a crash, and to compute only what changed."""

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inference_server.errors import UserError
from inference_server.media.files import replacing, write_bytes
from inference_server.provenance.recipe import sha256_of


class Trajectory:
    """A folder with `history.f16` (steps + 1, F, C, h, w), `latest.N.npy` (float32, exact) and `run.json`.

    History row i holds the latents before step i, the last row the final ones, in half precision: enough to follow.
    The latest row is kept exact beside it, so that a run that goes on ends bit for bit like an undisturbed one. Two
    files take turns and run.json names the whole one: killed between the two writes, the run repeats a step, not half.
    run.json holds the SHA-256 of every row, of the latest file and of itself: what does not fit counts as absent, so
    that a bit that went bad on the disk is never drawn. Implements `sampling.denoise.KeptLatents`.
    """

    def __init__(self, folder: Path, steps: int, shape: Sequence[int], facts: Mapping[str, Any]) -> None:
        self.folder = folder
        self.steps = steps
        self.shape = tuple(shape)
        self.facts = dict(facts)
        self._rows = (steps + 1, *self.shape)
        self._hashes: dict[str, str] = {}

    @property
    def _history_path(self) -> Path:
        return self.folder / "history.f16"

    def start(self, latents: Tensor, *, resumable: bool = True) -> tuple[int, Tensor]:
        """Go on from an interrupted run of the very same facts, or begin with `latents`: (steps done, latents).

        resumable: whether the solver can begin in the middle; if not, only a finished run is taken up.
        """
        found = self._read_latest()
        if found is not None and (resumable or found[0] == self.steps):
            return found
        self._hashes = {}
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._history_path.open("wb") as file:
            file.truncate(int(np.prod(self._rows)) * 2)
        self.save(0, latents)
        return 0, latents

    def save(self, done: int, latents: Tensor) -> None:
        """Keep the latents after `done` steps. Raises OSError when the disk is full."""
        array = latents.numpy()
        history = np.memmap(self._history_path, np.float16, "r+", shape=self._rows)
        history[done] = array
        history.flush()
        self._hashes[str(done)] = _sha256(history[done])
        latest = f"latest.{done % 2}.npy"
        with replacing(self.folder / latest) as path:
            with path.open("wb") as file:
                np.save(file, array)
            latest_hash = sha256_of(path)
        record = {
            "done": done,
            "latest": latest,
            "steps": self.steps,
            "shape": list(self.shape),
            "facts": self.facts,
            "hashes": self._hashes,
            "latest_hash": latest_hash,
        }
        write_bytes(self.folder / "run.json", json.dumps({**record, "sha256": _hash_of(record)}).encode())

    def at(self, step: int, frames: Sequence[int]) -> Tensor:
        history = np.memmap(self._history_path, np.float16, "r", shape=self._rows)
        return torch.from_numpy(history[step][list(frames)].astype(np.float32))

    def mapped(self, latents: Tensor) -> Tensor:
        """A copy in a file without a name beside the others: it can be changed, and a long clip takes no memory."""
        with tempfile.TemporaryFile(dir=self.folder) as file:
            file.truncate(latents.nbytes)
            array = np.memmap(file, np.float32, "r+", shape=tuple(latents.shape))
        array[:] = latents.numpy()
        return torch.from_numpy(array)

    def final(self) -> Tensor:
        """The exact final latents of a finished run. Raises UserError `base-unusable` if they are damaged."""
        found = self._read_latest()
        if found is None or found[0] != self.steps:
            raise unusable("its final latents are damaged")
        return found[1]

    def _read_latest(self) -> tuple[int, Tensor] | None:
        """Steps done and latents, if the folder holds a whole, matching run; a step cut short counts as not done."""
        try:
            record = _read_record(self.folder)
            latest = self.folder / Path(record["latest"]).name
            intact = sha256_of(latest) == record["latest_hash"]
            whole = self._history_path.stat().st_size == int(np.prod(self._rows)) * 2
        except (OSError, ValueError):
            return None
        same = record["facts"] == json.loads(json.dumps(self.facts)) and record["steps"] == self.steps
        if not same or not whole or not intact:
            return None
        latents = np.load(latest)
        if latents.shape != self.shape:
            return None
        self._hashes = dict(record["hashes"])
        return int(record["done"]), torch.from_numpy(latents)

    @classmethod
    def of_base(
        cls,
        folder: Path,
        steps: int,
        shape: Sequence[int] | None,
        facts: Mapping[str, Any],
        *,
        any_length: bool = False,
    ) -> "Trajectory":
        """A finished run to follow, of this shape (None: of any) or, with `any_length`, of another number of frames.

        Raises UserError `base-unusable` saying what differs or is broken.
        """

        try:
            record = _read_record(folder)
            kept = dict(record["facts"])
            done, size = int(record["done"]), (folder / "history.f16").stat().st_size
        except (OSError, ValueError):
            raise unusable("its steps were not kept, or are damaged") from None
        found = tuple(record["shape"])
        expected = found if shape is None else tuple(shape)
        if found[1:] != expected[1:] or (found != expected and not any_length):
            raise unusable(f"it has {record['shape'][0]} frames or another size")
        differing = [name for name, value in facts.items() if kept.get(name) != value]
        if record["steps"] != steps or differing:
            raise unusable(f"{', '.join(differing) or 'steps'} changed")
        if done < steps or size != (steps + 1) * int(np.prod(found)) * 2:
            raise unusable("its kept steps are incomplete")
        base = cls(folder, steps, found, kept)
        base._check_rows(record["hashes"])
        return base

    def _check_rows(self, hashes: Mapping[str, str]) -> None:
        """Raises UserError `base-unusable` naming the first step whose latents are not those that were written."""
        history = np.memmap(self._history_path, np.float16, "r", shape=self._rows)
        for step in range(self.steps + 1):
            if _sha256(history[step]) != hashes.get(str(step)):
                raise unusable(f"its step {step} is damaged on the disk")


def unusable(reason: str) -> UserError:
    return UserError(
        f"The earlier result cannot be built upon: {reason}", fix="Compute all frames.", code="base-unusable"
    )


def _read_record(folder: Path) -> dict[str, Any]:
    """run.json as it was written. Raises OSError, ValueError."""
    record = json.loads((folder / "run.json").read_bytes())
    if not isinstance(record, dict) or record.pop("sha256", None) != _hash_of(record):
        raise ValueError("run.json is damaged, or older than checksums")
    return record


def _hash_of(record: Mapping[str, Any]) -> str:
    return _sha256(json.dumps(record, sort_keys=True).encode())


def _sha256(data: Any) -> str:
    """Of bytes or of an array whose memory is in one piece."""
    return hashlib.sha256(data).hexdigest()
