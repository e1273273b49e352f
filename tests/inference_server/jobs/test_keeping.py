"""The store, the order of the queue, clean-up and the clock, without a server process."""

import os
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.jobs.clock import Clock
from inference_server.jobs.folder import DataFolder
from inference_server.jobs.lock import ProcessLock
from inference_server.jobs.model import JobBody, JobResult
from inference_server.jobs.progress import Meter
from inference_server.jobs.retention import CleanUp, Keep
from inference_server.jobs.service import JobService
from inference_server.jobs.store import Store

BODY = JobBody(engine="e", weights="w", reference="0" * 64, tracks={"densepose": ["1" * 64]}, consent=True)
RESULT = JobResult(frames=1, width=8, height=8, fps=24, computed_frames=1, seconds=1, demo_weights=True)


def finished(service: JobService, size: int = 0, age: float = 0.0) -> uuid.UUID:
    job = uuid.uuid4()
    record = service.store.add(job, BODY, service.clock.now() - age)
    service.folder.frames(job).mkdir(parents=True)
    service.folder.frame(job, 0).write_bytes(bytes(size))
    service.save(replace(record, state="done", finished_at=service.clock.now() - age, result=RESULT))
    return job


def kept(service: JobService) -> list[uuid.UUID]:
    return [record.id for record in reversed(service.store.newest(100))]


def clean_up(service: JobService, keep: Keep) -> None:
    """The second of a run: the first deletes nothing by age."""
    cleaner = CleanUp(service, keep)
    cleaner.run()
    cleaner.run()


def test_results_go_by_age_and_by_size_oldest_first_never_pinned(service):
    jobs = [finished(service, size=1000, age=86400 * days) for days in (40, 35, 3, 2, 1)]
    service.pin(jobs[0], True)
    clean_up(service, Keep(days=30, bytes=10**9))
    assert kept(service) == [jobs[0], *jobs[2:]]
    clean_up(service, Keep(days=30, bytes=3500))
    assert kept(service) == [jobs[0], *jobs[3:]]
    assert not service.folder.job(jobs[2]).exists()
    clean_up(service, Keep(days=30, bytes=0))
    assert kept(service) == [jobs[0]]


def test_a_queued_job_is_never_cleaned_up_nor_its_inputs(service):
    job = uuid.uuid4()
    service.store.add(job, BODY, 0.0)
    for digest in ("0" * 64, "1" * 64, "2" * 64):
        path = service.folder.blob(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        os.utime(path, (0, 0))
    clean_up(service, Keep(days=0, bytes=0))
    assert kept(service) == [job]
    assert service.blobs.missing(["0" * 64, "1" * 64, "2" * 64]) == ["2" * 64]


@pytest.mark.parametrize("jump", [-10 * 365 * 86400.0, 10 * 365 * 86400.0])
def test_a_clock_that_jumps_ages_nothing_and_reorders_nothing(service, monkeypatch, jump):
    first = finished(service)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    second = finished(service)
    clean_up(service, Keep(days=30, bytes=10**9))
    assert kept(service) == [first, second]
    ends = [service.store.get(job).finished_at for job in (first, second)]
    assert 0 <= ends[1] - ends[0] < 10
    assert abs(Clock().now() - (real() + jump)) < 1, "a new start believes the computer's clock"


@given(st.permutations(range(6)), st.integers(0, 6))
def test_reordering_moves_what_is_named_to_the_front(order, count):
    store = Store(Path(":memory:"))
    jobs = [uuid.uuid4() for _ in range(6)]
    for job in jobs:
        store.add(job, BODY, 0.0)
    named = [jobs[n] for n in order[:count]]
    store.reorder([*named, uuid.uuid4(), *named])
    expected = named + [job for job in jobs if job not in named]
    assert [record.id for record in store.in_state("queued")] == expected
    store.close()


def test_records_come_back_as_they_were_saved(service):
    job = finished(service)
    record = replace(service.store.get(job), notes=["a", "b"], died_at="denoising 3 0", low_memory=True, stale=[1, 2])
    service.save(record)
    service.store.close()
    assert Store(service.folder.database).get(job) == record


def test_consent_is_recorded_with_the_picture(service):
    assert service.store.consent_given_at(BODY.reference) is None
    service.store.add(uuid.uuid4(), BODY, 12.0)
    service.store.add(uuid.uuid4(), BODY, 99.0)
    assert service.store.consent_given_at(BODY.reference) == 12.0


@given(st.lists(st.tuples(st.sampled_from(["loading", "denoising", "decoding", "writing"]), st.integers(0, 30),
                          st.integers(0, 30), st.integers(0, 30), st.floats(0, 1e6))))  # fmt: skip
def test_progress_never_goes_back_whatever_is_reported(reports):
    meter, last, now = Meter(10), 0.0, 0.0
    for stage, step, steps, frames, wait in reports:
        now += wait
        meter.advance(stage, step, steps, frames, now)
        assert last <= meter.progress.fraction <= 1
        assert meter.progress.eta_s is None or meter.progress.eta_s >= 0
        last = meter.progress.fraction


def test_the_time_left_is_measured_from_where_a_resumed_run_begins():
    meter = Meter(10)
    meter.advance("denoising", 20, 25, 0, now=100.0)
    meter.advance("denoising", 21, 25, 0, now=110.0)
    per_step = 0.88 / 25
    left = 1 - (0.04 + 0.88 * 21 / 25)
    assert meter.progress.eta_s == pytest.approx(10 * left / per_step, abs=0.1)


def test_a_part_of_a_step_is_progress():
    meter = Meter(1000, 25)
    meter.advance("denoising", 2, 25, 0, now=0.0)
    whole = meter.progress.fraction
    meter.advance("denoising", 2, 25, 0, now=20.0, part=0.5)
    half, left = meter.progress.fraction, meter.progress.eta_s
    meter.advance("denoising", 3, 25, 0, now=40.0)
    assert half - whole == pytest.approx(meter.progress.fraction - half, abs=2e-4)
    assert left > 20 * 40


def test_a_lock_has_one_holder(tmp_path):
    first, second = ProcessLock(tmp_path / "lock"), ProcessLock(tmp_path / "lock")
    assert first.acquire()
    assert not second.acquire(wait=0.1)
    assert second.holder() == os.getpid()
    first.release()
    assert second.acquire()


@given(st.text(max_size=80))
def test_no_text_but_a_hash_names_a_blob(text):
    folder = DataFolder(Path("data"))
    try:
        path = folder.blob(text)
    except ValueError:
        return
    assert len(text) == 64
    assert path.parent.parent == folder.blobs
