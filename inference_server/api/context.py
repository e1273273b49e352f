"""What the routes work with."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from inference_server.jobs.folder import DataFolder
from inference_server.jobs.scheduler import Scheduler
from inference_server.jobs.service import JobService
from inference_server.media.limits import Limits
from inference_server.weights.library import WeightsLibrary


@dataclass
class Context:
    """One server. `shut_down` asks it to end."""

    folder: DataFolder
    service: JobService
    scheduler: Scheduler
    weights: WeightsLibrary
    limits: Limits
    disk_reserve: int
    shut_down: Callable[[], None] = lambda: None
    started: float = field(default_factory=time.monotonic)


def _context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found


InContext = Annotated[Context, Depends(_context)]
