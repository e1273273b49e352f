"""What the routes work with."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import Depends, Request

from inference_server.jobs.folder import DataFolder
from inference_server.jobs.scheduler import Scheduler
from inference_server.jobs.service import JobService
from inference_server.media.limits import Limits
from inference_server.weights.library import WeightsLibrary

CHECKS = 2
ADMISSIONS = 2
"""A map of 2048 x 2048 in wrong colours takes 270 MB while it is looked at."""


@dataclass
class Context:
    """One server. `shut_down` asks it to end.

    checks, admissions: how many uploads, and jobs, are looked at in threads at a time; the others wait.
    """

    folder: DataFolder
    service: JobService
    scheduler: Scheduler
    weights: WeightsLibrary
    limits: Limits
    disk_reserve: int
    shut_down: Callable[[], None] = lambda: None
    checks: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(CHECKS))
    admissions: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(ADMISSIONS))
    started: float = field(default_factory=time.monotonic)


def _context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found


InContext = Annotated[Context, Depends(_context)]
