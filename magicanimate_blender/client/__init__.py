"""The server's HTTP API (docs/api.md) for the add-on: standard library only, never imports bpy.

    client = Client("http://127.0.0.1:8790", token)
    client.server().device                        # raises ServerUnreachable, ServerProblem, BadAnswer
    digest = client.upload(png_bytes)              # what is large only when the server has not got it
    job = client.create_job(job_id, body)
    with client.job_events(job_id) as stream:      # a thread that reconnects by Last-Event-ID
        event = stream.events.get()                # JobChanged | FrameReady | JobRemoved | StreamLost
    for n, png in client.frames(job_id, 0, 48): ...

Every error is a `ClientError` with `code` (stable), `detail` (what is wrong with what) and `fix` (the way out, one
sentence). Calls block: use a thread. A `Client` may be shared by threads. Ask `is_loopback(url)` before connecting:
other machines need Blender's online access, which only the caller can check.
"""

from .api import Client
from .connection import is_loopback, server_name
from .errors import BadAnswer, ClientError, FileProblem, ServerProblem, ServerUnreachable
from .events import EventStream, FrameReady, JobChanged, JobEvent, JobRemoved, StreamLost
from .files import sha256, write_atomic
from .model import (
    Device,
    Download,
    Engine,
    Job,
    JobProgress,
    JobResult,
    Limits,
    Problem,
    QueueState,
    ServerInfo,
    Track,
    Weights,
    WeightSet,
    WorkerState,
)
from .pins import Pins

__all__ = [
    "BadAnswer",
    "Client",
    "ClientError",
    "Device",
    "Download",
    "Engine",
    "EventStream",
    "FileProblem",
    "FrameReady",
    "Job",
    "JobChanged",
    "JobEvent",
    "JobProgress",
    "JobRemoved",
    "JobResult",
    "Limits",
    "Pins",
    "Problem",
    "QueueState",
    "ServerInfo",
    "ServerProblem",
    "ServerUnreachable",
    "StreamLost",
    "Track",
    "WeightSet",
    "Weights",
    "WorkerState",
    "is_loopback",
    "server_name",
    "sha256",
    "write_atomic",
]
