"""Server-Sent Events: nothing is lost over reconnects, and many may listen."""

import asyncio
import json
import socket
import uuid
from collections.abc import Iterator
from types import SimpleNamespace

import httpx
import pytest

from inference_server.api import routes_events
from inference_server.jobs.events import EPOCH, MAX_FRAME_EVENTS, EventLog
from inference_server.jobs.people import SINGLE


def events_of(lines: Iterator[str]) -> Iterator[tuple[int, str, dict]]:
    """(id, kind, data) of a stream."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line and "data" in fields:
            yield int(fields["id"]), fields["event"], json.loads(fields["data"])
            fields = {}
        name, _, value = line.partition(": ")
        if name:
            fields[name] = value


def until_done(server, path: str, last_id: str | None = None) -> list[tuple[int, str, dict]]:
    found = []
    headers = {"Last-Event-ID": last_id} if last_id else {}
    with server.http.stream("GET", path, headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for event in events_of(stream.iter_lines()):
            found.append(event)
            if event[1] == "job" and event[2]["state"] in ("done", "failed", "cancelled"):
                return found
    raise AssertionError("the stream ended early")


def test_a_job_tells_of_every_frame_and_of_its_end(server):
    job = server.submit(frames=6, settings={"step_seconds": 0.05})
    events = until_done(server, f"/v1/jobs/{job}/events")
    ids = [number for number, _, _ in events]
    assert ids == sorted(ids)
    assert {data["frame"] for _, kind, data in events if kind == "frame"} == set(range(6))
    states = [data["state"] for _, kind, data in events if kind == "job"]
    assert states[-1] == "done"
    fractions = [data["progress"]["fraction"] for _, kind, data in events if kind == "job"]
    assert fractions == sorted(fractions)
    assert len(fractions) >= 4


def test_a_reader_that_reconnects_misses_nothing(server):
    job = server.submit(frames=8, settings={"steps": 3, "step_seconds": 0.05})
    first = []
    with server.http.stream("GET", f"/v1/jobs/{job}/events") as stream:
        for event in events_of(stream.iter_lines()):
            first.append(event)
            if event[1] == "job" and event[2]["progress"]["step"] >= 1:
                break
    server.wait_for(job, "done")
    second = until_done(server, f"/v1/jobs/{job}/events", str(first[-1][0]))
    assert all(number > first[-1][0] for number, _, _ in second)
    frames = [data["frame"] for _, kind, data in first + second if kind == "frame"]
    assert sorted(frames) == list(range(8))


@pytest.mark.parametrize("last_id", ["0", "7", "999999999999999", "nonsense", "-3", "9" * 400])
def test_an_id_that_is_unknown_gets_everything_again(server, last_id):
    job = server.submit(frames=2)
    server.wait_for(job, "done")
    events = until_done(server, f"/v1/jobs/{job}/events", last_id)
    assert events[0][2]["id"] == job
    assert [data["frame"] for _, kind, data in until_frames(server, job, last_id, 2)] == [0, 1]


def until_frames(server, job: str, last_id: str, count: int) -> list[tuple[int, str, dict]]:
    found = []
    with server.http.stream("GET", f"/v1/jobs/{job}/events", headers={"Last-Event-ID": last_id}) as stream:
        for event in events_of(stream.iter_lines()):
            if event[1] == "frame":
                found.append(event)
            if len(found) == count:
                return found
    raise AssertionError("the stream ended early")


def test_a_deleted_job_ends_its_stream(server):
    job = server.submit(frames=1)
    server.wait_for(job, "done")
    with server.http.stream("GET", f"/v1/jobs/{job}/events") as stream:
        events = events_of(stream.iter_lines())
        next(events)
        server.http.delete(f"/v1/jobs/{job}")
        assert [kind for _, kind, _ in events][-1] == "removed"


def test_fifty_readers_all_see_the_end(server):
    async def read_all(job: str) -> list[str]:
        limits = httpx.Limits(max_connections=60)
        headers = {"Authorization": f"Bearer {server.token}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, limits=limits, trust_env=False) as client:
            return await asyncio.gather(*(read(client, job, n) for n in range(50)))

    async def read(client: httpx.AsyncClient, job: str, n: int) -> str:
        path = "/v1/events" if n % 2 else f"/v1/jobs/{job}/events"
        async with client.stream("GET", path, timeout=30) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data: ") and f'"id":"{job}"' in line:
                    state = json.loads(line[6:])["state"]
                    if state == "done":
                        return state
        return "lost"

    job = server.submit(frames=4, settings={"steps": 20, "step_seconds": 0.02})
    assert asyncio.run(read_all(job)) == ["done"] * 50


def test_a_client_that_vanishes_mid_stream_or_mid_upload_harms_nobody(server):
    job = server.submit(frames=2, settings={"steps": 10, "step_seconds": 0.02})
    host, port = server.url.removeprefix("http://").split(":")
    head = f"Host: {host}:{port}\r\nAuthorization: Bearer {server.token}\r\n"
    digest = "ab" * 32
    for request in (
        f"GET /v1/jobs/{job}/events HTTP/1.1\r\n{head}\r\n",
        f"PUT /v1/blobs/{digest} HTTP/1.1\r\n{head}Content-Length: 100000\r\n\r\n{'x' * 500}",
        f"PUT /v1/jobs/{job} HTTP/1.1\r\n{head}Content-Length: 100000\r\n\r\n{{",
    ):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(request.encode())
            connection.recv(10) if request.startswith("GET") else None
            linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # reset, not a polite end
    server.wait_for(job, "done")
    assert server.http.head(f"/v1/blobs/{digest}").status_code == 404
    assert list((server.data / "incoming").iterdir()) == []
    assert "Traceback" not in (server.data / "console.log").read_text()


def test_silence_is_filled_with_heartbeats(monkeypatch):
    service = SimpleNamespace(events=EventLog(run=1), store=SimpleNamespace(newest_ids=list))
    monkeypatch.setattr(routes_events, "HEARTBEAT", 0.01)

    async def first_lines() -> list[bytes]:
        people = SimpleNamespace(still_has_access=lambda person: True)
        context = SimpleNamespace(service=service, people=people)
        lines = routes_events._events(context, SINGLE, None, EPOCH)
        found = [await anext(lines) for _ in range(3)]
        service.events.close()
        return found + [line async for line in lines]

    assert asyncio.run(first_lines()) == [b": connected\n\n", b": heartbeat\n\n", b": heartbeat\n\n"]


# the log itself


def test_the_log_is_bounded_and_says_when_an_id_is_too_old():
    log, job = EventLog(run=3), uuid.uuid4()
    for frame in range(MAX_FRAME_EVENTS + 10):
        log.frame_ready(job, frame)
    log.job_changed(job)
    assert log.since(3 * EPOCH) is None
    recent = log.since(log.last - 5)
    assert recent is not None
    assert [event.kind for event in recent] == ["frame"] * 4 + ["job"]


def test_many_changes_of_a_job_are_one_event():
    log, jobs = EventLog(run=1), [uuid.uuid4() for _ in range(3)]
    for _ in range(1000):
        for job in jobs:
            log.job_changed(job)
    events = log.since(EPOCH)
    assert events is not None
    assert [event.job for event in events] == jobs
    assert [event.job for event in log.since(EPOCH, jobs[1]) or []] == [jobs[1]]
