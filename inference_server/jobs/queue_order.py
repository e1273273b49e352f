"""The order of the queue among people: taking turns, so that nobody waits for all of another's jobs."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Waiting:
    """A queued job. rank: its place among the jobs of its owner, smaller first."""

    id: UUID
    owner: str
    rank: float
    frames: int = 1


@dataclass(frozen=True)
class Place:
    """ahead: jobs before it, those that run included. wait_s: seconds until it is expected to start, if known."""

    ahead: int
    wait_s: float | None


def places(order: Sequence[Waiting], running: Sequence[float | None], pace: float | None) -> dict[UUID, Place]:
    """order: queued jobs as they will be started. running: seconds that the running ones still take.
    pace: seconds a frame. The wait is unknown behind a job whose time is."""
    found: dict[UUID, Place] = {}
    wait = None if None in running else sum(left for left in running if left is not None)
    for number, job in enumerate(order):
        found[job.id] = Place(number + len(running), None if wait is None else round(wait, 1))
        wait = None if wait is None or pace is None else wait + job.frames * pace
    return found


def fair_order(waiting: Iterable[Waiting], last_turn: Mapping[str, float]) -> list[Waiting]:
    """Rounds in which everybody has one job; in each, whoever had the last turn longest ago is first.

    last_turn: when a job of theirs was started last; who is not in it had none. With one owner this is the order of
    ranks. A job never comes before one of the same owner with a smaller rank, and of two owners none has two turns
    while the other waits for the first.
    """
    queues: dict[str, deque[Waiting]] = defaultdict(deque)
    for job in sorted(waiting, key=lambda job: job.rank):
        queues[job.owner].append(job)
    turns = sorted(queues, key=lambda owner: (last_turn.get(owner, float("-inf")), queues[owner][0].rank))
    order: list[Waiting] = []
    while queues:
        for owner in turns:
            if owner in queues:
                order.append(queues[owner].popleft())
                if not queues[owner]:
                    del queues[owner]
    return order
