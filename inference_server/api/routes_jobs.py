"""Jobs and what comes out of them."""

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Response
from fastapi import Path as InPath
from fastapi.responses import FileResponse, StreamingResponse

from inference_server.api.context import ByPerson, Context, InContext, OwnJob
from inference_server.api.schemas import PinRequest
from inference_server.api.strict_json import StrictRoute
from inference_server.errors import UserError
from inference_server.jobs.model import Job, JobBody, JobSummary
from inference_server.jobs.people import Person

Responses = dict[int | str, dict[str, Any]]

MAX_FRAME = 2**31 - 1
Frame = Annotated[int, InPath(ge=0, le=MAX_FRAME)]
PNG: Responses = {200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}}
MP4: Responses = {
    200: {"content": {"video/mp4": {"schema": {"type": "string", "format": "binary"}}}},
    206: {"description": "Part of it", "content": {"video/mp4": {"schema": {"type": "string", "format": "binary"}}}},
}
TAR: Responses = {200: {"content": {"application/x-tar": {"schema": {"type": "string", "format": "binary"}}}}}
RECIPE: Responses = {200: {"content": {"application/json": {"schema": {"type": "object"}}}}}

router = APIRouter(prefix="/v1/jobs", route_class=StrictRoute)


@router.put("/{job}", responses={201: {"model": Job, "description": "Created"}, 200: {"description": "It was there"}})
async def put_job(job: UUID, body: JobBody, response: Response, context: InContext, person: ByPerson) -> Job:
    """Create a job under the client's own UUID. The same body again is the same job."""
    # Waits here, not in a thread: many jobs whose maps are decoded would take all threads from other requests.
    created, is_new = await run_sync(_create, context, job, body, person, limiter=context.admissions)
    response.status_code = 201 if is_new else 200
    return created


@router.get("")
def list_jobs(
    context: InContext, person: ByPerson, limit: Annotated[int, Query(ge=1, le=1000)] = 500, before: UUID | None = None
) -> list[JobSummary]:
    """Newest first. The next page: `before` with the last id of this one."""
    return context.service.newest(limit, before=before, owner=None if person.admin else person.name)


@router.get("/{job}")
def get_job(job: OwnJob, context: InContext) -> Job:
    return context.service.get(job)


@router.delete(
    "/{job}",
    response_class=Response,
    responses={202: {"description": "It is being cancelled"}, 204: {"description": "Deleted with its result"}},
)
def delete_job(job: OwnJob, context: InContext) -> Response:
    """Cancel it if it is queued or running, delete it with its result if it has ended."""
    return Response(status_code=202 if context.service.cancel_or_delete(job) == "cancelled" else 204)


@router.post("/{job}/retry")
def retry(job: OwnJob, context: InContext) -> Job:
    """Queue a failed or cancelled job again; it goes on from its last step."""
    return context.service.retry(job)


@router.post("/{job}/pin")
def pin(job: OwnJob, request: PinRequest, context: InContext) -> Job:
    """A pinned result is never deleted by clean-up."""
    return context.service.pin(job, request.pinned)


@router.get("/{job}/frames/{frame}.png", response_class=FileResponse, responses=PNG)
def frame(job: OwnJob, frame: Frame, context: InContext) -> FileResponse:
    record = context.service.record(job)
    path = context.folder.frame(job, frame)
    if frame >= record.body.frames or not context.folder.is_ours(path):
        raise UserError(
            f"Frame {frame} of the job is not there",
            fix="Wait for its `frame` event; frames are counted from 0.",
            code="frame-not-ready",
        )
    return FileResponse(path, media_type="image/png")


@router.get("/{job}/frames", response_class=StreamingResponse, responses=TAR)
def frames(
    job: OwnJob,
    context: InContext,
    start: Annotated[int, Query(ge=0, le=MAX_FRAME)] = 0,
    stop: Annotated[int, Query(ge=0, le=MAX_FRAME)] = MAX_FRAME,
) -> StreamingResponse:
    """A tar stream of 000000.png ... of the frames start <= n < stop that are ready."""
    record = context.service.record(job)
    ready = [n for n in context.service.ready_frames(record) if start <= n < stop]
    return StreamingResponse(_tar(context, job, ready), media_type="application/x-tar")


@router.get("/{job}/video.mp4", response_class=FileResponse, responses=MP4)
def video(job: OwnJob, context: InContext) -> FileResponse:
    return _result_file(context, job, "video.mp4", "video/mp4")


@router.get("/{job}/preview.png", response_class=FileResponse, responses=PNG)
def preview(job: OwnJob, context: InContext) -> FileResponse:
    return _result_file(context, job, "preview.png", "image/png")


@router.get(
    "/{job}/recipe.json",
    response_class=FileResponse,
    responses=RECIPE,
)
def recipe(job: OwnJob, context: InContext) -> FileResponse:
    """All settings, input hashes and versions from which the same frames come again."""
    return _result_file(context, job, "recipe.json", "application/json")


def _create(context: Context, job: UUID, body: JobBody, person: Person) -> tuple[Job, bool]:
    context.quotas.check_job(person, job)
    created, is_new = context.service.create(job, body, person)
    if is_new:
        context.audit.write(person, "consent given", job=str(job), picture=body.reference)
    return created, is_new


def _result_file(context: Context, job: UUID, name: str, media_type: str) -> FileResponse:
    context.service.record(job)
    path: Path = context.folder.job(job) / name
    if not context.folder.is_ours(path):
        raise UserError(f"The job has no {name} yet", fix="Wait until the job is done.", code="not-ready")
    return FileResponse(path, media_type=media_type)


def _tar(context: Context, job: UUID, frames: Sequence[int]) -> Iterator[bytes]:
    """One frame in memory at a time; one that is deleted meanwhile is left out."""
    for frame in frames:
        file = context.folder.open(context.folder.frame(job, frame))
        if file is None:
            continue
        with file:
            data = file.read()
        member = tarfile.TarInfo(f"{frame:06d}.png")
        member.size = len(data)
        yield member.tobuf() + data + bytes(-len(data) % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)
