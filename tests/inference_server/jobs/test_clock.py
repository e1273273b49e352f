"""A clock that is wrong deletes nothing, and the artist is told."""

import os
import time
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from inference_server.jobs.clock import Clock
from inference_server.jobs.events import EventLog
from inference_server.jobs.folder import DataFolder
from inference_server.jobs.model import JobBody, JobResult
from inference_server.jobs.retention import CleanUp, Keep
from inference_server.jobs.service import JobService
from inference_server.jobs.store import Store
from inference_server.jobs.trust import GRACE
from inference_server.media.limits import SERVER_LIMITS
from tests.inference_server.conftest import wait_until

DAY = 86400.0
LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
BODY = JobBody(engine="e", weights="w", reference="0" * 64, tracks={"densepose": ["1" * 64]}, consent=True)
RESULT = JobResult(frames=1, width=8, height=8, fps=24, computed_frames=1, seconds=1, demo_weights=True)


class SetClock(Clock):
    """A clock that the test moves."""

    def __init__(self, at: float) -> None:
        self.at = at

    def now(self) -> float:
        return self.at


class Run:
    """One run of the server over a data folder, which starts at a time."""

    def __init__(self, root: Path, at: float, monkeypatch: pytest.MonkeyPatch, keep: Keep | None = None) -> None:
        folder = DataFolder(root)
        folder.create()
        self.clock = SetClock(at)
        self.store = Store(folder.database)
        self.service = JobService(
            folder, self.store, EventLog(1), limits=SERVER_LIMITS, weights_state=lambda _: "ready", clock=self.clock
        )
        self.cleaner = CleanUp(self.service, keep or Keep())
        self.monotonic = 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self.monotonic)

    def clean(self, seconds: float = 0.0) -> None:
        """A clean-up after so many seconds of running."""
        self.monotonic += seconds
        self.clock.at += seconds
        self.cleaner.run()

    def finished(self, *, pinned: bool = False) -> UUID:
        record = self.store.add(uuid4(), BODY, self.clock.at)
        done = replace(record, state="done", finished_at=self.clock.at, result=RESULT, pinned=pinned)
        self.store.update(done)
        return record.id

    def kept(self) -> set[UUID]:
        return {row.id for row in self.store.newest(100)}

    def notice(self) -> str:
        return " ".join(f"{each.code} {each.detail} {each.fix}" for each in self.service.all_notices())


def test_a_jump_while_it_was_off_deletes_nothing_within_the_grace(tmp_path, monkeypatch):
    run = Run(tmp_path, 0.0, monkeypatch)
    job, pinned = run.finished(), run.finished(pinned=True)
    run.clean()
    run = Run(tmp_path, 31 * DAY, monkeypatch)
    run.clean()
    for _ in range(6):
        run.clean(DAY)
        assert run.kept() == {job, pinned}
    assert "clock-jumped" in run.notice()
    assert "31 days" in run.notice()
    assert "1 result" in run.notice()
    run = Run(tmp_path, run.clock.at + DAY, monkeypatch)
    run.clean()
    assert run.kept() == {job, pinned}, "starting again does not end the grace"
    assert "clock-jumped" in run.notice()
    run.clean(GRACE)
    assert run.kept() == {pinned}
    assert run.notice() == ""


def test_a_clock_that_is_put_right_again_is_believed(tmp_path, monkeypatch):
    run = Run(tmp_path, 0.0, monkeypatch)
    job = run.finished()
    run.clean()
    run = Run(tmp_path, 400 * DAY, monkeypatch)
    run.clean()
    assert "clock-jumped" in run.notice()
    run = Run(tmp_path, 1 * DAY, monkeypatch)
    run.clean()
    run.clean(600)
    assert (run.kept(), run.notice()) == ({job}, "")
    run.clean(30 * DAY)
    assert run.kept() == set(), "what is really old goes"


def test_the_first_clean_up_of_a_run_deletes_nothing_by_age(tmp_path, monkeypatch):
    run = Run(tmp_path, 0.0, monkeypatch)
    job = run.finished()
    for start in range(6, 36, 6):  # never off for long enough to be doubted
        run = Run(tmp_path, start * DAY, monkeypatch)
        run.clean()
    assert run.kept() == {job}
    run.clean(600)
    run.clean(DAY)
    assert run.kept() == set()


def test_an_upload_is_kept_when_the_computers_clock_is_set_back(tmp_path, monkeypatch):
    run = Run(tmp_path, time.time(), monkeypatch)
    path = run.service.folder.blob("0" * 64)
    path.parent.mkdir(parents=True)
    run.clean()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 10 * DAY)
    path.write_bytes(b"x")
    os.utime(path, (time.time(), time.time()))
    run.clean(600)
    assert path.exists()


@pytest.mark.skipif(not LIBRARY.exists(), reason="libfaketime is not installed")
def test_a_server_started_with_a_clock_31_days_ahead_keeps_all_results(start_server, tmp_path):
    server = start_server(data=tmp_path)
    jobs = [server.submit() for _ in range(3)]
    for job in jobs:
        server.wait_for(job, "done")
    wait_until(lambda: server.stop() == 0)
    server.env = {"LD_PRELOAD": str(LIBRARY), "FAKETIME": "+31d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    server.start()
    notice = wait_until(lambda: server.http.get("/v1/server").json()["notices"])[0]
    assert notice["code"] == "clock-jumped"
    assert "3 results" in notice["detail"]
    last = server.submit()
    wait_until(lambda: server.job(last)["finished_at"])  # libfaketime breaks the worker: it may fail
    time.sleep(11)  # a clean-up comes ten seconds after a job has ended
    assert {job["id"] for job in server.http.get("/v1/jobs").json()} == {*jobs, last}
    assert all((tmp_path / "jobs" / job / "video.mp4").exists() for job in jobs)
    server.stop()
