"""A job that names an earlier result computes only what has changed, or says why it computes everything."""

import json
import shutil
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.jobs.alignment import align


@pytest.fixture(scope="module")
def base(server) -> dict:
    job = server.submit(frames=6)
    return server.wait_for(job, "done")


def again(server, base: dict, change: tuple[int, ...] = (), **changes) -> dict:
    """The base's job once more, with other maps at the frames `change`."""
    maps = list(base["body"]["tracks"]["densepose"])
    for frame in change:
        maps[frame] = maps[(frame + 1) % 6]
    return with_maps(server, base, maps, **changes)


def with_maps(server, base: dict, maps: list[str], **changes) -> dict:
    body = {**base["body"], "tracks": {"densepose": maps}, "base_job": base["id"], **changes}
    job = str(uuid.uuid4())
    answer = server.http.put(f"/v1/jobs/{job}", json=body)
    assert answer.status_code == 201, answer.text
    return server.wait_for(job, "done")


def frames(server, job: dict) -> list[bytes]:
    return [server.http.get(f"/v1/jobs/{job['id']}/frames/{n}.png").content for n in range(6)]


def differing(server, one: dict, other: dict) -> list[int]:
    return [n for n, (a, b) in enumerate(zip(frames(server, one), frames(server, other), strict=True)) if a != b]


def test_only_changed_maps_are_computed(server, base):
    job = again(server, base, (1, 4))
    assert job["result"]["computed_frames"] == 2
    assert differing(server, base, job) == [1, 4]
    recipe = server.http.get(f"/v1/jobs/{job['id']}/recipe.json").json()
    assert recipe["base"] == {"job": base["id"], "computed": [1, 4], "sources": list(range(6))}


def test_redo_and_keep(server, base):
    job = again(server, base, (1, 4), redo=[2], keep=[4])
    assert job["result"]["computed_frames"] == 2
    assert set(differing(server, base, job)) <= {1, 2}
    kept_again = again(server, job, ())
    assert kept_again["result"]["computed_frames"] == 1, "frame 4 still shows another map than its own"


def test_nothing_changed_is_a_copy_that_can_be_a_base_too(server, base):
    job = again(server, base)
    assert job["result"]["computed_frames"] == 0
    assert differing(server, base, job) == []
    assert again(server, job, (3,))["result"]["computed_frames"] == 1
    assert server.http.get(f"/v1/jobs/{job['id']}/recipe.json").json()["run"]["dtype"] == "auto"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"settings": {"seed": 2}}, "settings differ"),
        ({"base_job": "00000000-0000-0000-0000-000000000000"}, "no longer exists"),
        ({"settings": {"fault": "base"}}, "settings differ"),
    ],
)
def test_an_unusable_base_is_said(server, base, changes, reason):
    job = again(server, base, (1,), **changes)
    assert job["result"]["computed_frames"] == 6
    assert reason in job["notes"][0]


def test_an_engine_may_refuse_the_base(server):
    job = server.submit(frames=6, settings={"fault": "base"})
    first = server.wait_for(job, "done")
    second = again(server, first, (1,))
    assert second["result"]["computed_frames"] == 6
    assert second["notes"] == ["Computed in full: The base is of no use."]


def test_a_base_without_its_steps_or_frames_is_not_used(server, base):
    job = again(server, base)
    shutil.rmtree(server.data / "jobs" / job["id"] / "trajectory")
    assert "not kept" in again(server, job, (1,))["notes"][0]


def test_the_base_of_a_waiting_job_is_not_deleted(server, base):
    server.http.patch("/v1/queue", json={"paused": True})
    job = str(uuid.uuid4())
    server.http.put(f"/v1/jobs/{job}", json={**base["body"], "base_job": base["id"]})
    refused = server.http.delete(f"/v1/jobs/{base['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "job-in-use")
    server.http.patch("/v1/queue", json={"paused": False})
    server.wait_for(job, "done")


def test_deleting_the_base_afterwards_takes_nothing_from_the_result(server):
    first = server.wait_for(server.submit(frames=6), "done")
    second = again(server, first, (1,))
    before = frames(server, second)
    assert server.http.delete(f"/v1/jobs/{first['id']}").status_code == 204
    assert frames(server, second) == before


def frame_of(server, job: dict, frame: int) -> bytes:
    return server.http.get(f"/v1/jobs/{job['id']}/frames/{frame}.png").content


def test_frames_that_moved_are_taken_from_where_they_were(server):
    base = server.wait_for(server.submit(frames=12), "done")
    maps = base["body"]["tracks"]["densepose"]
    inserted = with_maps(server, base, [*maps[:5], maps[0], maps[1], *maps[5:]])
    assert inserted["result"]["frames"] == 14
    assert inserted["result"]["computed_frames"] == 2
    assert frame_of(server, inserted, 13) == frame_of(server, base, 11)
    recipe = server.http.get(f"/v1/jobs/{inserted['id']}/recipe.json").json()
    assert recipe["base"]["sources"] == [0, 1, 2, 3, 4, None, None, 5, 6, 7, 8, 9, 10, 11]
    trimmed = with_maps(server, base, maps[3:])
    assert trimmed["result"]["computed_frames"] == 0
    assert frame_of(server, trimmed, 0) == frame_of(server, base, 3)
    assert with_maps(server, trimmed, [*maps[3:11], maps[0]])["result"]["computed_frames"] == 1


clips = st.lists(st.integers(0, 3), min_size=1, max_size=40)


@given(clips, clips)
def test_alignment_names_each_frame_of_the_base_once_and_in_order(base, new):
    sources = align(base, new)
    assert len(sources) == len(new)
    named = [source for source in sources if source is not None]
    assert named == sorted(set(named))
    assert all(0 <= source < len(base) for source in named)


@given(st.lists(st.integers(), min_size=8, max_size=40, unique=True), st.data())
def test_a_cut_or_an_insertion_keeps_everything_else(base, data):
    at = data.draw(st.integers(4, len(base) - 4))
    count = data.draw(st.integers(1, 5))
    inserted = [*base[:at], *(object() for _ in range(count)), *base[at:]]
    assert align(base, inserted) == (*range(at), *(None,) * count, *range(at, len(base)))
    assert align(inserted, base) == (*range(at), *range(at + count, len(inserted)))


@given(clips, st.data())
def test_frames_stay_in_place_if_that_keeps_as_many(base, data):
    new = list(base)
    at = data.draw(st.integers(0, len(base) - 1))
    new[at] = -1
    kept = sum(source is not None and base[source] == new[n] for n, source in enumerate(align(base, new)))
    assert kept >= len(base) - 1
    assert align(base, base) == tuple(range(len(base)))


@pytest.mark.parametrize("hash_in_recipe", [None, "0" * 64])
def test_results_of_other_weights_are_not_built_upon(server, base, hash_in_recipe):
    """Older results do not tell the hash of their weights: they count as other ones."""
    earlier = again(server, base)
    assert earlier["result"]["computed_frames"] == 0
    path = server.data / "jobs" / earlier["id"] / "recipe.json"
    recipe = json.loads(path.read_text())
    assert len(recipe["run"].pop("weights_hash")) == 64
    if hash_in_recipe:
        recipe["run"]["weights_hash"] = hash_in_recipe
    path.write_text(json.dumps(recipe))
    job = again(server, earlier)
    assert job["result"]["computed_frames"] == 6
    assert "Computed in full: the weights were replaced since the earlier result." in job["notes"]
