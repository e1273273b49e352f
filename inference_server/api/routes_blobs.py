"""Inputs by content hash."""

from pathlib import Path
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request, Response
from fastapi import Path as InPath
from starlette.requests import ClientDisconnect

from inference_server.api.context import ByPerson, InContext
from inference_server.errors import UserError
from inference_server.media.images import read_size

router = APIRouter(prefix="/v1/blobs")
Digest = Annotated[str, InPath(pattern="^[0-9a-f]{64}$", description="SHA-256 of the content, in lower-case hex")]


@router.head("/{sha256}", response_class=Response, responses={200: {"description": "It is there"}})
async def has_blob(sha256: Digest, context: InContext, person: ByPerson) -> Response:
    """200 if it is there; it is then kept for a day, for a job to name it."""
    if not context.service.blobs.touch(sha256, person):
        raise UserError("There is no such input", fix="Upload it with PUT.", code="no-such-blob")
    return Response(status_code=200)


@router.put(
    "/{sha256}",
    response_class=Response,
    responses={201: {"description": "Stored"}, 200: {"description": "It was there already"}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def put_blob(sha256: Digest, request: Request, context: InContext, person: ByPerson) -> Response:
    """Store a PNG, JPEG or WebP. The body is checked against the hash, its header against the limits."""
    blobs = context.service.blobs
    if blobs.touch(sha256, person):
        async for _ in request.stream():  # or the connection could not be used again
            pass
        return Response(status_code=200)
    if context.folder.free_bytes() < context.disk_reserve:
        raise UserError("The disk of the data folder is full", fix="Delete old results.", code="disk-full")

    await run_sync(context.quotas.check_bytes, person)

    def check(path: Path) -> None:
        read_size(path, name="The upload", max_pixels=context.limits.pixels)

    with blobs.upload(sha256) as upload:
        try:
            async for chunk in request.stream():
                upload.write(chunk)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody hears it; what came so far is dropped
        await run_sync(upload.finish, check, limiter=context.checks)
        blobs.note_upload(sha256, person)
    return Response(status_code=201)


@router.delete("/{sha256}", response_class=Response, responses={204: {"description": "Erased"}}, status_code=204)
def erase_blob(sha256: Digest, context: InContext, person: ByPerson) -> Response:
    """Erase a picture at once, with every job of yours that was made from it and all their results."""
    context.service.erase_picture(sha256, person)
    return Response(status_code=204)
