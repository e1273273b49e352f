"""The weight sets on this computer: which are ready, fetching them, checking them, and the licences accepted."""

import filecmp
import json
import logging
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from inference_server.child import python_command, python_environment
from inference_server.errors import UserError
from inference_server.media.files import write_bytes
from inference_server.weights.catalogue import ENTRIES, Entry, find_entry
from inference_server.weights.manifest import Manifest

State = Literal["ready", "missing", "invalid"]
Kind = Literal["pull", "verify", "add"]
LICENCES = "licences.json"

log = logging.getLogger(__name__)


@dataclass
class Task:
    """A running or ended process on a weight set; state: downloading, verifying, adding, done, failed, cancelled."""

    kind: Kind
    process: subprocess.Popen[bytes]
    state: str
    done_bytes: int = 0
    total_bytes: int = 0
    problem: dict[str, str] | None = None
    notes: list[str] = field(default_factory=list)


ACTIVE: dict[Kind, str] = {"pull": "downloading", "verify": "verifying", "add": "adding"}


class WeightsLibrary:
    """`root` is the weights folder in the data folder. Thread-safe. All long work is done in child processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.RLock()
        self._tasks: dict[str, Task] = {}

    def folder_of(self, weights: str) -> Path:
        """The tree that the engine loads. Raises UserError `unknown-weights`."""
        entry = find_entry(weights)
        return entry.bundled or self.root / entry.id

    def state(self, weights: str) -> State:
        """By looking at sizes and times only: cheap enough for every request."""
        entry = find_entry(weights)
        tree = self.folder_of(weights)
        files = entry.files(tree)
        if None in files or self.is_busy(weights, "pull", "add"):
            return "missing"
        if entry.bundled is not None:
            return "ready"
        manifest = Manifest(tree)
        known = [manifest.state_of(path) for path in files if path is not None]
        intact = all(state and path and state.fits(path) for state, path in zip(known, files, strict=True))
        return "ready" if intact and manifest.checked else "invalid"

    def is_copy(self, weights: str, folder: Path) -> bool:
        """Whether a folder holds the very files of a set that is here."""
        ours = find_entry(weights).files(self.folder_of(weights))
        for path in ours:
            if path is None:
                return False
            other = folder / path.relative_to(self.folder_of(weights))
            if not other.is_file() or (not other.samefile(path) and not filecmp.cmp(path, other)):
                return False
        return True

    def size_bytes(self, entry: Entry) -> int:
        """Of the files that are there; of the download if any is missing."""
        files = entry.files(self.folder_of(entry.id))
        if None in files:
            return entry.download_bytes
        return sum(path.stat().st_size for path in files if path is not None)

    def accepted(self, weights: str) -> bool:
        """Whether the licence was accepted; one that restricts nothing (the demo's) needs no asking."""
        return find_entry(weights).bundled is not None or weights in self._licences()

    def accept(self, weights: str) -> None:
        entry = find_entry(weights)
        with self._lock:
            record = {"licence": entry.licence, "url": entry.licence_url, "accepted_at": time.time()}
            licences = {**self._licences(), entry.id: record}
            write_bytes(self.root / LICENCES, json.dumps(licences, indent=1).encode())

    def start_download(self, weights: str, *, accept_licence: bool) -> None:
        """Raises UserError `licence-not-accepted`, `bundled`, `weights-busy`."""
        entry = self._own(weights)
        if accept_licence:
            self.accept(weights)
        if not self.accepted(weights):
            raise UserError(
                f"The licence of {entry.title} has not been accepted: {entry.licence}",
                fix=f"Read {entry.licence_url} and accept it.",
                code="licence-not-accepted",
            )
        self.start(weights, "pull")

    def start(self, weights: str, kind: Kind) -> Task:
        """Start a child process on the set. Raises UserError `weights-busy` if one is at work."""
        entry, tree = find_entry(weights), self.folder_of(weights)
        with self._lock:
            if self.is_busy(weights):
                raise UserError(
                    f"{entry.title} is being worked on ({self._tasks[weights].state})",
                    fix="Wait until that is done, or stop it.",
                    code="weights-busy",
                )
            process = subprocess.Popen(
                python_command("inference_server.weights.tasks", kind, entry.id, str(tree)),
                stdout=subprocess.PIPE,
                stdin=subprocess.PIPE,  # open for as long as this process lives
                env=python_environment(),
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
            task = Task(kind, process, ACTIVE[kind], total_bytes=self.size_bytes(entry))
            self._tasks[weights] = task
        threading.Thread(target=self._follow, args=(entry, task), name=f"weights {kind}", daemon=True).start()
        return task

    def stop(self, weights: str) -> None:
        """End what runs on the set; a download goes on from there the next time."""
        find_entry(weights)
        with self._lock:
            task = self._tasks.get(weights)
            if task is not None and task.process.poll() is None:
                task.state = "cancelled"
                task.process.kill()
        if task is not None:
            task.process.wait(10)

    def delete(self, weights: str) -> None:
        """Remove the files; links to a user's own files go, the files stay.

        Raises UserError `bundled`, `weights-in-use` naming a file that cannot be deleted; deleting again goes on.
        """
        entry = self._own(weights)
        self.stop(weights)
        with self._lock:
            self._tasks.pop(weights, None)
            try:
                shutil.rmtree(self.root / entry.id)
            except FileNotFoundError:
                pass
            except OSError as error:
                raise UserError(
                    f"{entry.title} cannot be deleted: {error.filename}: {(error.strerror or str(error)).lower()}",
                    fix="Free Memory ends the process that has the weights loaded; then delete them again.",
                    code="weights-in-use",
                ) from error

    def close(self) -> None:
        for weights in list(self._tasks):
            self.stop(weights)

    def task(self, weights: str) -> Task | None:
        with self._lock:
            return self._tasks.get(weights)

    def is_busy(self, weights: str, *kinds: Kind) -> bool:
        task = self.task(weights)
        return task is not None and task.state == ACTIVE[task.kind] and (not kinds or task.kind in kinds)

    @staticmethod
    def entries() -> tuple[Entry, ...]:
        return ENTRIES

    def _follow(self, entry: Entry, task: Task) -> None:
        assert task.process.stdout is not None
        for line in task.process.stdout:
            try:
                message: dict[str, Any] = dict(json.loads(line))
            except (ValueError, TypeError):
                log.warning("weights %s: the %s process wrote what is no message: %.100r", entry.id, task.kind, line)
                continue
            with self._lock:
                task.done_bytes = message.get("done_bytes", task.done_bytes)
                task.total_bytes = message.get("total_bytes", task.total_bytes)
                task.problem = message.get("problem")
                task.notes += [message["note"]] if "note" in message else []
        status = task.process.wait()
        with self._lock:
            if task.state == "cancelled":
                return
            task.state = "done" if status == 0 else "failed"
            if status and task.problem is None:
                task.problem = {
                    "detail": f"The process that worked on {entry.title} ended with status {status}",
                    "fix": "Try again; what is already there is used.",
                    "code": "weights-process-died",
                }
        log.info("weights %s: %s %s %s", entry.id, task.kind, task.state, task.problem or "")

    def _licences(self) -> dict[str, Any]:
        try:
            content = json.loads((self.root / LICENCES).read_text(encoding="utf-8"))
            return dict(content)
        except (OSError, ValueError, TypeError):
            return {}

    def _own(self, weights: str) -> Entry:
        entry = find_entry(weights)
        if entry.bundled is not None:
            raise UserError(
                f"{entry.title} come with the server and are neither fetched nor deleted",
                fix="Use them as they are.",
                code="bundled",
            )
        return entry
