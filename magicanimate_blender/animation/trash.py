"""Files that were deleted but can come back: moved aside on the same disk until it is certain that they may go."""

import contextlib
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from ..client import FileProblem
from ..client.files import file_problem

FOLDER = ".trash"


class Trash:
    """The trash of this process in `root`, a folder that holds one folder for each result.

    Its layout is that of `root`: root/ID/frames/000001.png lies in root/.trash/SESSION/ID/frames/000001.png.
    """

    def __init__(self, root: Path, session: str | None = None) -> None:
        self.root = root
        self._folder = root / FOLDER / (session or _session())

    def throw(self, files: Iterable[Path]) -> None:
        """Move files that are below `root` into the trash: all, or none. Raises FileProblem."""
        moved: list[Path] = []
        try:
            for path in files:
                self._move(path, self._in_trash(path))
                moved.append(path)
        except OSError as error:
            for each in moved:
                self._move(self._in_trash(each), each)
            raise FileProblem(
                f"{path} can't be deleted: {error.strerror or error}",
                fix="Close programs that use its files, then try again.",
                code="file-problem",
            ) from error
        for folder in sorted({path.parent for path in moved}, key=lambda folder: -len(folder.parts)):
            _remove_empty(folder, self.root)

    def restore(self, result: str) -> None:
        """Put a result's files back to where they were; what is there meanwhile stays. Raises FileProblem."""
        try:
            for path in [path for path in (self._folder / result).rglob("*") if path.is_file()]:
                target = self.root / path.relative_to(self._folder)
                if not os.path.lexists(target):
                    self._move(path, target)
        except OSError as error:
            raise file_problem(self.root, error) from error
        self.empty(result)

    def empty(self, result: str) -> None:
        """Delete a result's files for good."""
        shutil.rmtree(self._folder / result, ignore_errors=True)
        _remove_empty(self._folder, self.root)

    def results(self) -> list[str]:
        return [path.name for path in self._folder.iterdir()] if self._folder.is_dir() else []

    def _in_trash(self, path: Path) -> Path:
        return self._folder / path.relative_to(self.root)

    def _move(self, source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)


def recover(root: Path, is_alive: Callable[[int], bool]) -> None:
    """Put back what processes of this computer left in the trash that ended without a word, as a crash does.

    Their .blend was not saved since: it may still show the files. Raises FileProblem.
    """
    for folder in (root / FOLDER).glob("*"):
        found = re.fullmatch(r"(.+)-(\d+)", folder.name)
        if found and folder.name != _session() and found[1] == _computer() and not is_alive(int(found[2])):
            trash = Trash(root, folder.name)
            for result in trash.results():
                trash.restore(result)


def _session() -> str:
    return f"{_computer()}-{os.getpid()}"


def _computer() -> str:
    return re.sub(r"\W", "_", platform.node()) or "computer"


def _remove_empty(folder: Path, root: Path) -> None:
    """Remove the folder and its parents below `root`, as far as nothing is in them."""
    with contextlib.suppress(OSError):
        while folder != root:
            folder.rmdir()
            folder = folder.parent
