"""Taking turns, for any queue."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from inference_server.jobs.queue_order import Waiting, fair_order, places

OWNERS = ("", "alice", "bob", "carol")
queues = st.lists(st.tuples(st.sampled_from(OWNERS), st.integers(0, 50)), max_size=30).map(
    lambda jobs: [Waiting(UUID(int=n), owner, rank + n / 1000) for n, (owner, rank) in enumerate(jobs)]
)
turns = st.dictionaries(st.sampled_from(OWNERS), st.floats(0, 1e9))


@given(queues, turns)
def test_every_job_comes_once_and_each_owners_in_their_order(queue, last_turn):
    order = fair_order(queue, last_turn)
    assert sorted(order, key=lambda job: job.id.int) == queue
    for owner in OWNERS:
        ranks = [job.rank for job in order if job.owner == owner]
        assert ranks == sorted(ranks)


@given(queues, turns)
def test_nobody_has_two_turns_while_another_waits_for_the_first(queue, last_turn):
    order = fair_order(queue, last_turn)
    had: dict[str, int] = {}
    for number, job in enumerate(order):
        had[job.owner] = had.get(job.owner, 0) + 1
        for other in {later.owner for later in order[number + 1 :]}:
            assert had[job.owner] - had.get(other, 0) <= 1


@given(queues, turns)
def test_who_waited_longest_for_a_turn_is_first(queue, last_turn):
    order = fair_order(queue, last_turn)
    if order:
        oldest = min(last_turn.get(job.owner, -1.0) for job in queue)
        assert last_turn.get(order[0].owner, -1.0) == oldest


@given(st.lists(st.floats(0, 100), max_size=20, unique=True), turns)
def test_for_one_person_it_is_the_order_of_ranks(ranks, last_turn):
    queue = [Waiting(UUID(int=n), "", rank) for n, rank in enumerate(ranks)]
    assert [job.rank for job in fair_order(queue, last_turn)] == sorted(ranks)


def test_a_hundred_jobs_do_not_keep_another_waiting():
    queue = [Waiting(UUID(int=n), "alice", n) for n in range(100)] + [Waiting(UUID(int=100), "bob", 100)]
    assert [job.owner for job in fair_order(queue, {"alice": 5.0})[:2]] == ["bob", "alice"]


def test_the_wait_adds_up_and_is_unknown_where_it_is():
    queue = [Waiting(UUID(int=n), "", n, frames=10 * (n + 1)) for n in range(3)]
    told = places(queue, [4.0], 0.5)
    assert [(p.ahead, p.wait_s) for p in told.values()] == [(1, 4.0), (2, 9.0), (3, 19.0)]
    assert [p.wait_s for p in places(queue, [None], 0.5).values()] == [None] * 3
    assert [p.wait_s for p in places(queue, [], None).values()] == [0.0, None, None]
