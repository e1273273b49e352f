"""Where the server's files lie, and what is noted about them."""

import contextlib
import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path

from ..client import write_atomic
from .processes import WINDOWS


@dataclass(frozen=True)
class ServerFolder:
    """environment: packages; data: the server's own folder (token, jobs, results, weights); the rest are files."""

    path: Path

    @property
    def environment(self) -> Path:
        return self.path / "environment"

    @property
    def python(self) -> Path:
        return self.environment / ("Scripts/python.exe" if WINDOWS else "bin/python")

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.path / "server.log"

    @property
    def worker_log(self) -> Path:
        """What the process that computes says."""
        return self.data / "logs" / "worker.log"

    @property
    def install_log(self) -> Path:
        return self.path / "install.log"

    @property
    def notes(self) -> Path:
        return self.path / "install.json"

    def has_server(self) -> bool:
        """Whether the environment's Python and the server's package are there."""
        packages = "Lib/site-packages" if WINDOWS else "lib/python3*/site-packages"
        return self.python.exists() and any(self.environment.glob(f"{packages}/inference_server/__init__.py"))


@dataclass(frozen=True)
class Notes:
    """install.json. version: of the server; build: title of its PyTorch; complete: all steps were done."""

    version: str
    build: str
    python: str
    complete: bool

    def save(self, path: Path) -> None:
        """Raises FileProblem."""
        write_atomic(path, json.dumps(dataclasses.asdict(self), indent=1).encode())

    @classmethod
    def load(cls, path: Path) -> "Notes | None":
        with contextlib.suppress(OSError, ValueError, TypeError):
            return cls(**json.loads(path.read_bytes()))
        return None


def numbers(version: str) -> tuple[int, ...]:
    """1.2.10 -> (1, 2, 10): enough to compare the versions of our own releases."""
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:3])
