"""The server itself, its engines and its weights."""

import os
import time

from fastapi import APIRouter

from inference_server import __version__
from inference_server.api.context import ByAdmin, ByPerson, Context, InContext, require_admin
from inference_server.api.schemas import (
    Device,
    DownloadInfo,
    DownloadRequest,
    EngineInfo,
    LimitsInfo,
    QueueInfo,
    QueueRequest,
    ServerInfo,
    TaskProblem,
    TrackInfo,
    WeightSetInfo,
    WeightsInfo,
    WorkerInfo,
)
from inference_server.api.strict_json import StrictRoute
from inference_server.engines.registry import ENGINES
from inference_server.errors import UserError
from inference_server.weights.catalogue import find_entry

router = APIRouter(prefix="/v1", route_class=StrictRoute)


@router.get("/server")
def server(context: InContext, person: ByPerson) -> ServerInfo:
    """Cheap enough to ask every second."""
    limits, scheduler = context.limits, context.scheduler
    return ServerInfo(
        name="MagicAnimate for Blender",
        version=__version__,
        api=1,
        pid=os.getpid(),
        uptime_s=round(time.monotonic() - context.started, 3),
        device=Device(**scheduler.device) if scheduler.device else None,
        worker=WorkerInfo(state=scheduler.worker_state, pid=scheduler.worker_pid),
        queue=queue_info(context),
        limits=LimitsInfo(upload_bytes=limits.upload_bytes, pixels=limits.pixels, frames=limits.frames),
        notices=context.service.all_notices() if person.admin else [],
        admin=person.admin,
    )


@router.post("/server/unload", status_code=202)
def unload(context: InContext, _: ByAdmin) -> WorkerInfo:
    """Free the weights' memory: the worker ends, now or after its job."""
    context.scheduler.unload()
    return WorkerInfo(state=context.scheduler.worker_state, pid=context.scheduler.worker_pid)


@router.post("/server/shutdown", status_code=202)
def shutdown(context: InContext, _: ByAdmin) -> WorkerInfo:
    """Stop gracefully; a running job goes on at the next start."""
    context.shut_down()
    return WorkerInfo(state=context.scheduler.worker_state, pid=context.scheduler.worker_pid)


@router.patch("/queue")
def change_queue(change: QueueRequest, context: InContext, person: ByPerson) -> QueueInfo:
    """Only an admin may pause it; the order that others give is that of their own jobs."""
    if change.paused is not None:
        require_admin(person)
    context.service.change_queue(change.paused, change.order, None if person.admin else person.name)
    return queue_info(context)


@router.get("/engines")
def engines(context: InContext) -> list[EngineInfo]:
    return [
        EngineInfo(
            id=engine.id,
            title=engine.title,
            tracks=[
                TrackInfo(name=t.name, title=t.title, description=t.description, encoding=t.encoding)
                for t in engine.tracks
            ],
            settings_schema=engine.settings.model_json_schema(),
            weight_sets=[
                WeightSetInfo(
                    id=s.id,
                    title=s.title,
                    demo=s.demo,
                    size_multiple=s.size_multiple,
                    default_size=s.default_size,
                    recommended_settings=dict(s.recommended),
                    state=context.weights.state(s.id),
                )
                for s in engine.weight_sets
            ],
        )
        for engine in ENGINES.values()
    ]


@router.get("/weights")
def weights(context: InContext) -> list[WeightsInfo]:
    return [weights_info(context, entry.id) for entry in context.weights.entries()]


@router.post("/weights/{weights}/download", status_code=202)
def download(weights: str, request: DownloadRequest, context: InContext, _: ByAdmin) -> WeightsInfo:
    """Start fetching; `GET /v1/weights` tells how far it is. A stopped download goes on where it was."""
    context.weights.start_download(weights, accept_licence=request.accept_licence)
    return weights_info(context, weights)


@router.delete("/weights/{weights}/download")
def stop_download(weights: str, context: InContext, _: ByAdmin) -> WeightsInfo:
    context.weights.stop(weights)
    return weights_info(context, weights)


@router.post("/weights/{weights}/verify", status_code=202)
def verify(weights: str, context: InContext, _: ByAdmin) -> WeightsInfo:
    """Start comparing all files with their hashes; progress as for a download."""
    context.weights.start(weights, "verify")
    return weights_info(context, weights)


@router.delete("/weights/{weights}")
def delete_weights(weights: str, context: InContext, _: ByAdmin) -> WeightsInfo:
    busy = {record.body.weights for record in context.service.store.in_state("queued", "running")}
    if weights in busy:
        raise UserError(
            "A job that is not done needs these weights", fix="Cancel it or wait for it.", code="weights-busy"
        )
    context.weights.delete(weights)
    return weights_info(context, weights)


def queue_info(context: Context) -> QueueInfo:
    service = context.service
    return QueueInfo(
        paused=service.paused, queued=service.store.count("queued"), running=service.store.count("running")
    )


def weights_info(context: Context, weights: str) -> WeightsInfo:
    entry, library = find_entry(weights), context.weights
    task = library.task(weights)
    download = None
    if task is not None:
        problem = TaskProblem(**task.problem) if task.problem else None
        download = DownloadInfo.model_validate(
            {
                "state": task.state,
                "done_bytes": task.done_bytes,
                "total_bytes": task.total_bytes,
                "problem": problem,
            }
        )
    return WeightsInfo(
        id=entry.id,
        title=entry.title,
        demo=entry.demo,
        state=library.state(weights),
        size_bytes=library.size_bytes(entry),
        licence=entry.licence,
        licence_url=entry.licence_url,
        accepted=library.accepted(weights),
        download=download,
    )
