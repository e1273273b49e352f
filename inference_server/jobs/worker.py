"""The process that owns the device: `python -m inference_server.jobs.worker`, started by the server.

It may be killed at any moment: what it leaves is either whole or is made again by the next one.
"""

import argparse
import faulthandler
import gc
import importlib
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NoReturn
from uuid import UUID

from inference_server.engines.options import EngineOptions
from inference_server.engines.out_of_memory import is_out_of_memory
from inference_server.engines.protocol import Engine, EngineInfo
from inference_server.errors import Cancelled, UserError
from inference_server.jobs.folder import DataFolder, disk_full, is_disk_full
from inference_server.jobs.lock import ProcessLock
from inference_server.jobs.messages import Cancel, Failed, Note, Ready, Report, Run, Stop, Stopped, decode, encode
from inference_server.jobs.run import JobRun
from inference_server.media.limits import SERVER_LIMITS
from inference_server.provenance.identity import Identity, given_identity, local_identity
from inference_server.weights.manifest import tree_hash

LOCK_WAIT = 10.0
"""Seconds that an earlier worker, whose server is gone, gets to notice and end."""
ORPHANED = 3
UNEXPECTED = 4
"""Exit status after an exception that no code foresaw: a broken CUDA context outlives its job, a process does not."""

log = logging.getLogger(__name__)


class Worker:
    def __init__(
        self,
        folder: DataFolder,
        options: argparse.Namespace,
        send: Callable[[Report], None],
        describe: "Describe",
        end: Callable[[int], Any] = os._exit,
    ) -> None:
        """end: leaves the process at once, whatever its threads and its device are doing."""
        self.folder = folder
        self.options = options
        self.send = send
        self.describe = describe
        self.end = end
        self.commands: queue.SimpleQueue[Run | Stop] = queue.SimpleQueue()
        self._cancelled: set[UUID] = set()
        self._stopping = False
        self._loaded: tuple[tuple[str, Path, EngineOptions, str], Engine] | None = None
        self._small: set[tuple[str, Path]] = set()
        self._exact: set[tuple[str, Path]] = set()

    def read_commands(self, pipe: BinaryIO) -> None:
        """A thread: cancelling must be heard while a step is computed. When the server is gone, so is this process."""
        for line in pipe:
            command = decode(line)
            if isinstance(command, Cancel):
                self._cancelled.add(command.job)
                continue
            self._stopping = self._stopping or isinstance(command, Stop)
            self.commands.put(command)
        os._exit(ORPHANED)

    def serve(self) -> None:
        self.send(Ready(self.describe(self.options.device)))
        while isinstance(command := self.commands.get(), Run):
            self._do(command)

    def check(self, job: UUID) -> None:
        """Raises Cancelled if the job, or this process, is to end; UserError `disk-full` before the disk is."""
        if self._stopping or job in self._cancelled:
            raise Cancelled
        if self.folder.free_bytes() < self.options.disk_reserve:
            raise disk_full(self.folder)

    def engine(self, info: EngineInfo, weights: Path, low_memory: bool) -> Engine:
        """The engine, loaded if another one or none was, or if its weights were replaced since."""
        options = replace(EngineOptions.of(self.options), low_memory=low_memory)
        if (info.id, weights) in self._exact:
            options = replace(options, dtype="fp32")
        key = (info.id, weights, options, tree_hash(weights))
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = None
            gc.collect()  # networks may refer to each other in circles, and the next ones need their memory
            module, _, function = info.implementation.partition(":")
            load = getattr(importlib.import_module(module), function)
            self._loaded = (key, load(weights, options))
        return self._loaded[1]

    def free_memory(self) -> int | None:
        free = self.describe(self.options.device).get("memory_free")
        return None if free is None else int(free)

    def identity(self, job: UUID) -> Identity:
        """Who signs this job's results."""
        if self.options.signing_cert is not None:
            return given_identity(self.options.signing_cert, self.options.signing_key)
        return local_identity(self.folder.identity, lambda text: self.send(Note(job, text)))

    def _do(self, command: Run) -> None:
        job = command.job
        log.info("job %s starts", job)
        try:
            self._run_with_fallbacks(command)
        except Cancelled:
            self.send(Stopped(job))
        except UserError as error:
            self.send(Failed(job, error.message, error.fix, error.code))
        except OSError as error:
            log.exception("job %s", job)
            failure = disk_full(self.folder) if is_disk_full(error) else None
            if failure:
                self.send(Failed(job, failure.message, failure.fix, failure.code))
            else:
                self.send(Failed(job, f"A file could not be used: {error}", SEE_LOG, "file-error"))
        except Exception as error:
            if is_out_of_memory(error):
                log.warning("job %s: %s", job, first_line(error))
                self._loaded = None
                self.send(Failed(job, *OUT_OF_MEMORY))
                return
            log.exception("job %s", job)
            reason = first_line(error)
            self.send(Failed(job, f"The engine stopped: {reason}", SEE_LOG, "engine-failed", unexpected=True))
            self.end(UNEXPECTED)
        finally:
            self._cancelled.discard(job)

    def _run_with_fallbacks(self, command: Run) -> None:
        """What asking for less, or for wider numbers, can help is tried again once, and said.

        What weights once needed on this device they get as long as this process lives.
        """
        weights = (str(command.body["engine"]), command.weights_folder)
        small = command.low_memory or self.options.low_memory
        if not small and weights in self._small:
            self.send(Note(command.job, SMALL_BEFORE, low_memory=True))
            small = True
        exact = weights in self._exact
        if exact:
            self.send(Note(command.job, EXACT))
        try:
            self._run(command, small)
            return
        except UserError as error:
            if error.code == "overflow" and not exact:
                log.warning("job %s: %s", command.job, error.message)
                self._exact.add(weights)
                note, again = None, command
            elif error.code == "base-unusable" and command.base is not None:
                note = Note(command.job, f"Computed in full: {error.message}.", in_full=True)
                again = replace(command, base=None, changed=(), sources=())
            else:
                raise
        except Exception as error:
            if small or not is_out_of_memory(error):
                raise
            log.warning("job %s: %s; trying again with the smaller-memory settings", command.job, first_line(error))
            self._small.add(weights)
            note = Note(command.job, SMALLER, low_memory=True)
            again = replace(command, low_memory=True)
        if note is not None:
            self.send(note)
        self._run_with_fallbacks(again)  # only here is the exception gone, which held the engine and its memory

    def _run(self, command: Run, low_memory: bool) -> None:
        JobRun(
            command,
            folder=self.folder,
            limits=SERVER_LIMITS,
            identity=self.identity(command.job),
            load=lambda info: self.engine(info, command.weights_folder, low_memory),
            check=lambda: self.check(command.job),
            send=self.send,
            free_memory=self.free_memory,
        ).run()


SEE_LOG = "Try again; if it happens again, send worker.log from the server's logs folder with a bug report."
EXACT = "Computed in fp32, slower: in half precision these weights' numbers overflow on this device."
SMALL_BEFORE = (
    "Computed with the smaller-memory settings, slower: the device's memory was full with these weights before."
)
SMALLER = "The device's memory was full, so the rest was computed with the smaller-memory settings, slower."
OUT_OF_MEMORY = (
    "The device's memory is not enough, even with the smaller-memory settings",
    "Close other programs that use the GPU, lower the resolution, or shorten the window.",
    "out-of-memory",
)


def first_line(error: Exception) -> str:
    """A copy: whoever keeps the error itself keeps all that lay on the device."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


Describe = Callable[[str], dict[str, Any]]


def describe_device(name: str) -> dict[str, Any]:
    from inference_server.engines.device import describe_device  # loads torch, which only this process may

    return describe_device(name)


def take_stdout() -> BinaryIO:
    """The pipe to the server, for this module alone: whatever libraries print goes to the log."""
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return pipe


def wait_for_device(folder: DataFolder) -> ProcessLock:
    """Two workers must never write one trajectory: wait for an orphan of an earlier server, then end it."""
    lock = ProcessLock(folder.worker_lock)
    if lock.acquire(LOCK_WAIT):
        return lock
    holder = lock.holder()
    log.warning("an earlier worker (process %s) does not end by itself: killing it", holder)
    if holder is not None:
        os.kill(holder, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
    if not lock.acquire(LOCK_WAIT):
        raise SystemExit("another worker holds the device and does not end")
    return lock


def parse_options(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m inference_server.jobs.worker", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    EngineOptions.add_arguments(parser)
    parser.add_argument("--disk-reserve", type=int, default=0, metavar="BYTES")
    parser.add_argument("--signing-cert", type=Path)
    parser.add_argument("--signing-key", type=Path)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None, describe: Describe = describe_device) -> NoReturn:
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is the server's to handle
    if hasattr(os, "nice"):
        os.nice(5)  # on the CPU, the server and the artist's programs come first
    options = parse_options(argv)
    pipe, turn = take_stdout(), threading.Lock()

    def send(report: Report) -> None:
        with turn:
            pipe.write(encode(report))

    folder = DataFolder(options.data_dir)
    worker = Worker(folder, options, send, describe)
    threading.Thread(target=worker.read_commands, args=(sys.stdin.buffer,), daemon=True).start()
    lock = wait_for_device(folder)
    worker.serve()
    lock.release()
    os._exit(0)  # nothing is left to do, and torch takes seconds to take itself apart


if __name__ == "__main__":
    main()
