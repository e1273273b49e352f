"""What the routes work with."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated
from uuid import UUID

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Depends, Request

from inference_server.api.audit import Audit
from inference_server.errors import UserError
from inference_server.jobs.folder import DataFolder
from inference_server.jobs.people import People, Person
from inference_server.jobs.quotas import Quotas
from inference_server.jobs.scheduler import Scheduler
from inference_server.jobs.service import JobService, no_such_job
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
    people: People
    audit: Audit
    quotas: Quotas
    shut_down: Callable[[], None] = lambda: None
    checks: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(CHECKS))
    admissions: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(ADMISSIONS))
    started: float = field(default_factory=time.monotonic)


def _context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found


InContext = Annotated[Context, Depends(_context)]


async def _person(request: Request) -> Person:
    found: Person = request.state.person  # by the gate
    return found


ByPerson = Annotated[Person, Depends(_person)]


def require_admin(person: Person) -> None:
    """Raises UserError `admin-only`."""
    if not person.admin:
        raise UserError("Only an admin of this server may do that", fix="Ask who runs the server.", code="admin-only")


async def _admin(person: ByPerson) -> Person:
    require_admin(person)
    return person


ByAdmin = Annotated[Person, Depends(_admin)]


async def _own_job(job: UUID, context: InContext, person: ByPerson) -> UUID:
    """Somebody else's job is answered as one that is not there."""
    if not person.admin and not person.may_see(await run_sync(context.service.owner_of, job)):
        raise no_such_job(job)
    return job


OwnJob = Annotated[UUID, Depends(_own_job)]
