"""Server-Sent Events with ids: https://html.spec.whatwg.org/multipage/server-sent-events.html

Written out here, as one line of format is all there is to it. sse-starlette 3.7 and FastAPI's own EventSourceResponse
were looked at: both encode every event anew for every reader, where ours are encoded once for all; the first patches
uvicorn's signal handler and polls to learn of the server's end, which our log of events tells; and what is hard about
it, resuming by id, neither does.
"""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from inference_server.api.context import ByPerson, Context, InContext, OwnJob
from inference_server.errors import UserError
from inference_server.jobs.events import Event
from inference_server.jobs.people import Person

HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that both ends notice a dead connection."""
CLOSE_AFTER = "removed"
STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}}
LastEventId = Annotated[str | None, Header(alias="Last-Event-ID")]

router = APIRouter(prefix="/v1")


@router.get("/events", response_class=StreamingResponse, responses=STREAM)
async def all_events(context: InContext, person: ByPerson, last_event_id: LastEventId = None) -> StreamingResponse:
    """Events of every job. Without `Last-Event-ID`, or with one too old, every job comes first."""
    return _stream(_events(context, person, None, _number(last_event_id)))


@router.get("/jobs/{job}/events", response_class=StreamingResponse, responses=STREAM)
async def job_events(
    job: OwnJob, context: InContext, person: ByPerson, last_event_id: LastEventId = None
) -> StreamingResponse:
    """Events of one job. The stream ends when the job is deleted."""
    context.service.record(job)
    return _stream(_events(context, person, job, _number(last_event_id)))


def _stream(lines: AsyncIterator[bytes]) -> StreamingResponse:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(lines, media_type="text/event-stream", headers=headers)


def _number(last_event_id: str | None) -> int:
    """-1, which is always too old, for what is no id of ours."""
    text = last_event_id or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1


async def _events(context: Context, person: Person, job: UUID | None, last: int) -> AsyncIterator[bytes]:
    log = context.service.events
    async with log.subscribe() as news:
        yield b": connected\n\n"
        while not log.closed and context.people.still_has_access(person):
            events = log.since(last, job)
            if events is None:
                last = log.last
                async for text in _snapshot(context, person, job, last):
                    yield text
                continue
            for event in events:
                last = event.id
                if not (person.admin or person.may_see(context.service.owner_of(event.job))):
                    continue
                yield _format(context, event)
                if job is not None and event.kind == CLOSE_AFTER:
                    return
            if not events and not await news.wait(HEARTBEAT):
                yield b": heartbeat\n\n"


async def _snapshot(context: Context, person: Person, job: UUID | None, number: int) -> AsyncIterator[bytes]:
    """Everything as it is now, oldest first, one job in memory at a time."""
    jobs = [job] if job is not None else reversed(await run_in_threadpool(_visible_jobs, context, person))
    for name in jobs:
        yield await run_in_threadpool(_state, context, name, number, frames=job is not None)


def _visible_jobs(context: Context, person: Person) -> list[UUID]:
    """Newest first."""
    store = context.service.store
    return store.newest_ids() if person.admin else [row.id for row in store.newest(10**9, owner=person.name)]


def _state(context: Context, job: UUID, number: int, *, frames: bool) -> bytes:
    """A job, and the frames that it has ready if it is running or if `frames`."""
    service = context.service
    try:
        record = service.record(job)
    except UserError:
        return _event(number, "removed", _removed(job))
    ready = service.ready_frames(record) if frames or record.state == "running" else []
    texts = [_event(number, "job", service.summary(record).model_dump_json())]
    return b"".join(texts + [_event(number, "frame", _frame(job, n)) for n in ready])


def _format(context: Context, event: Event) -> bytes:
    if event.kind == "frame":
        return _event(event.id, "frame", _frame(event.job, event.frame))
    if event.kind == "removed":
        return _event(event.id, "removed", _removed(event.job))
    try:
        return _event(event.id, "job", context.service.json(event.job, event.id))
    except UserError:  # deleted meanwhile; its `removed` follows
        return b""


def _frame(job: UUID, frame: int) -> str:
    return json.dumps({"id": str(job), "frame": frame})


def _removed(job: UUID) -> str:
    return json.dumps({"id": str(job)})


def _event(number: int, kind: str, data: str) -> bytes:
    return f"id: {number}\nevent: {kind}\ndata: {data}\n\n".encode()
