"""Two people at one server: what is whose, whose turn it is, and what was done by whom."""

import contextlib
import hashlib
import json
import socket
import sqlite3
import stat
import threading
import uuid
from pathlib import Path

import httpx
import pytest

from inference_server.api.security import MAX_REQUESTS
from inference_server.jobs.people import People
from tests.inference_server.api.people import guest, tokens
from tests.inference_server.conftest import reference_png, wait_until


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


@pytest.fixture(scope="module")
def shared(start_server):
    server = start_server()
    server.alice = guest(server, "alice")
    server.bob = guest(server, "bob")
    server.chief = guest(server, "chief", "--admin")
    return server


@pytest.fixture(scope="module")
def hers(shared) -> str:
    job = shared.alice.submit(frames=2, name="a secret film")
    shared.alice.wait_for(job, "done")
    return job


READS = ("", "/frames/0.png", "/frames", "/video.mp4", "/preview.png", "/recipe.json", "/events")


def test_a_job_is_its_owners_alone(shared, hers):
    for rest in READS:
        refused(shared.bob.http.get(f"/v1/jobs/{hers}{rest}"), 404, "no-such-job")
    refused(shared.bob.http.delete(f"/v1/jobs/{hers}"), 404, "no-such-job")
    refused(shared.bob.http.post(f"/v1/jobs/{hers}/retry"), 404, "no-such-job")
    refused(shared.bob.http.post(f"/v1/jobs/{hers}/pin", json={"pinned": True}), 404, "no-such-job")
    assert shared.alice.http.get(f"/v1/jobs/{hers}/frames/0.png").status_code == 200
    assert hers not in [job["id"] for job in shared.bob.http.get("/v1/jobs").json()]
    assert hers in [job["id"] for job in shared.alice.http.get("/v1/jobs").json()]


def test_the_same_id_and_body_do_not_give_anothers_job(shared, hers):
    body = shared.alice.job(hers)["body"]
    shared.bob.body(frames=2)  # the same pictures, which he has too
    refused(shared.bob.http.put(f"/v1/jobs/{hers}", json=body), 409, "job-exists")


@pytest.mark.parametrize("who", ["chief", "single"])
def test_an_admin_sees_all(shared, hers, who):
    admin = shared if who == "single" else shared.chief
    assert admin.job(hers)["body"]["name"] == "a secret film"
    assert hers in [job["id"] for job in admin.http.get("/v1/jobs").json()]
    assert admin.http.get("/v1/server").json()["admin"] is True
    assert shared.bob.http.get("/v1/server").json()["admin"] is False


def test_a_picture_is_not_used_by_its_hash(shared):
    picture = reference_png(80)
    digest = shared.alice.put_blob(picture)
    assert shared.bob.http.head(f"/v1/blobs/{digest}").status_code == 404
    body = shared.bob.body(frames=1, size=80)
    fresh = hashlib.sha256(b"").hexdigest()
    refused(shared.bob.http.put(f"/v1/jobs/{uuid.uuid4()}", json={**body, "reference": fresh}), 409, "blob-missing")
    other = shared.alice.put_blob(reference_png(96))
    refused(shared.bob.http.put(f"/v1/jobs/{uuid.uuid4()}", json={**body, "reference": other}), 409, "blob-missing")
    refused(shared.bob.http.put(f"/v1/blobs/{other}", content=b"what she sent I cannot guess"), 422, "hash-mismatch")
    assert shared.bob.put_blob(reference_png(96)) == other  # who has the file may use it
    assert shared.bob.http.head(f"/v1/blobs/{other}").status_code == 200


def test_anothers_result_is_no_base(shared, hers):
    body = shared.alice.job(hers)["body"]
    shared.bob.body(frames=2)
    job = str(uuid.uuid4())
    assert shared.bob.http.put(f"/v1/jobs/{job}", json={**body, "base_job": hers}).status_code == 201
    done = shared.bob.wait_for(job, "done")
    assert done["result"]["computed_frames"] == 2
    assert done["notes"] == ["Computed in full: the earlier result no longer exists."]
    own = str(uuid.uuid4())
    assert shared.alice.http.put(f"/v1/jobs/{own}", json={**body, "base_job": hers}).status_code == 201
    assert shared.alice.wait_for(own, "done")["result"]["computed_frames"] == 0


def test_what_concerns_everybody_is_for_admins(shared):
    http = shared.bob.http
    for answer in (
        http.post("/v1/server/shutdown"),
        http.post("/v1/server/unload"),
        http.patch("/v1/queue", json={"paused": True}),
        http.post("/v1/weights/demo/verify"),
        http.post("/v1/weights/magicanimate/download", json={"accept_licence": True}),
        http.delete("/v1/weights/magicanimate/download"),
        http.delete("/v1/weights/magicanimate"),
    ):
        refused(answer, 403, "admin-only")
    assert shared.http.get("/v1/server").json()["queue"]["paused"] is False


def test_events_are_of_ones_own_jobs(shared):
    heard: list[str] = []
    connected = threading.Event()

    def listen() -> None:
        with shared.bob.http.stream("GET", "/v1/events", timeout=30) as stream:
            for line in stream.iter_lines():
                connected.set()
                heard.append(line)
                if f'"{last}"' in line and "removed" in heard[-2]:
                    return

    last = str(uuid.uuid4())
    thread = threading.Thread(target=listen)
    thread.start()
    assert connected.wait(10)
    job = shared.alice.submit(frames=2)
    shared.alice.wait_for(job, "done")
    shared.alice.http.delete(f"/v1/jobs/{job}")
    body = shared.bob.body(frames=1)
    assert shared.bob.http.put(f"/v1/jobs/{last}", json=body).status_code == 201
    shared.bob.wait_for(last, "done")
    shared.bob.http.delete(f"/v1/jobs/{last}")
    thread.join(30)
    assert not thread.is_alive()
    assert job not in "\n".join(heard)
    assert last in "\n".join(heard)


def test_people_take_turns_and_are_told_how_long_they_wait(shared):
    shared.http.patch("/v1/queue", json={"paused": True})
    try:
        many = [shared.alice.submit(frames=2, name=str(n)) for n in range(4)]
        his = shared.bob.submit(frames=2)
        places = [shared.alice.job(job)["position"] for job in many]
        assert shared.bob.job(his)["position"] <= 1
        assert sorted([*places, shared.bob.job(his)["position"]]) == [0, 1, 2, 3, 4]
        assert places == sorted(places)
        waits = [shared.alice.job(job)["wait_s"] for job in many]
        assert None not in waits
        assert waits == sorted(waits)
        assert waits[-1] > 0
        # An order of his own moves nobody else's jobs.
        shared.bob.http.patch("/v1/queue", json={"order": [his, *many[::-1]]})
        assert [shared.alice.job(job)["position"] for job in many] == places
        shared.alice.http.patch("/v1/queue", json={"order": [many[3]]})
        assert shared.alice.job(many[3])["position"] == min(places)
    finally:
        shared.http.patch("/v1/queue", json={"paused": False})
    ended = {job: shared.wait_for(job, "done")["finished_at"] for job in [*many, his]}
    assert ended[his] in sorted(ended.values())[:2]


def test_the_audit_log_tells_who_did_what_and_who_consented(shared):
    job = shared.alice.submit(frames=1)
    shared.alice.wait_for(job, "done")
    assert shared.bob.http.delete(f"/v1/jobs/{job}").status_code == 404
    assert shared.alice.http.delete(f"/v1/jobs/{job}").status_code == 204
    lines = [json.loads(line) for line in (shared.data / "logs" / "audit.log").read_text().splitlines()]
    about = [line for line in lines if job in json.dumps(line)]
    found = [(line["who"], line["what"].split(" /")[0], line.get("status")) for line in about]
    assert found == [
        ("alice", "consent given", None),
        ("alice", "PUT", 201),
        ("bob", "DELETE", 404),
        ("alice", "DELETE", 204),
    ]
    assert about[0]["picture"] == hashlib.sha256(reference_png()).hexdigest()
    assert about[1]["address"] == "127.0.0.1"
    assert all(line["time"].endswith("+00:00") for line in lines)
    assert ("command line", "token added") in [(line["who"], line["what"]) for line in lines]
    with sqlite3.connect(shared.data / "jobs.sqlite3") as db:
        owners = {
            row[0] for row in db.execute("SELECT owner FROM consents WHERE reference = ?", (about[0]["picture"],))
        }
    assert "alice" in owners


def test_tokens_are_kept_as_hashes_and_end_at_once(shared):
    carol = guest(shared, "carol")
    assert carol.http.get("/v1/jobs").status_code == 200
    everything = b"".join(p.read_bytes() for p in shared.data.glob("people.sqlite3*"))
    everything += (shared.data / "logs" / "audit.log").read_bytes()
    assert carol.token.encode() not in everything
    assert stat.S_IMODE((shared.data / "people.sqlite3").stat().st_mode) == 0o600
    assert "carol  100 jobs, 50 GB" in tokens(shared, "list").stdout
    again = tokens(shared, "add", "carol")
    assert (again.returncode, "carol has a token. Revoke it first." in again.stderr) == (2, True)
    with carol.http.stream("GET", "/v1/events") as stream:
        lines = stream.iter_lines()
        next(lines)
        assert tokens(shared, "revoke", "carol").returncode == 0
        shared.alice.submit(frames=1)  # something happens
        assert not [line for line in lines if line.startswith("data:")]  # and the stream ends
    refused(carol.http.get("/v1/jobs"), 401, "wrong-token")
    gone = tokens(shared, "revoke", "carol")
    assert (gone.returncode, "Nobody is called 'carol'" in gone.stderr) == (2, True)
    for name in ("", "../x", "a b", "admin", "ä"):
        assert tokens(shared, "add", name).returncode == 2


def test_one_person_cannot_fill_queue_or_disk(start_server):
    server = start_server()
    small = guest(server, "small", "--max-jobs", "2", "--max-gb", "0.0000001")
    few = guest(server, "few", "--max-jobs", "2")
    server.http.patch("/v1/queue", json={"paused": True})
    first = few.submit(frames=1)
    few.submit(frames=1)
    body = few.body(frames=1)
    refused(few.http.put(f"/v1/jobs/{uuid.uuid4()}", json=body), 429, "too-many-jobs")
    assert few.http.put(f"/v1/jobs/{first}", json=few.job(first)["body"]).status_code == 200
    assert few.http.delete(f"/v1/jobs/{first}").status_code == 202
    assert few.http.put(f"/v1/jobs/{uuid.uuid4()}", json=body).status_code == 201
    small.put_blob(reference_png())
    picture = reference_png(80)
    answer = small.http.put(f"/v1/blobs/{hashlib.sha256(picture).hexdigest()}", content=picture)
    refused(answer, 413, "quota-exceeded")
    assert server.http.put(f"/v1/jobs/{uuid.uuid4()}", json=server.body(frames=1)).status_code == 201


def test_one_person_cannot_take_all_connections(start_server):
    server = start_server()
    bob = guest(server, "bob")
    host, port = server.url.removeprefix("http://").split(":")
    request = f"GET /v1/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {bob.token}\r\n\r\n".encode()
    with contextlib.ExitStack() as opened:
        streams = [opened.enter_context(socket.create_connection((host, int(port)), 20)) for _ in range(MAX_REQUESTS)]
        for stream in streams:
            stream.sendall(request)
            assert b"200 OK" in stream.recv(1000)
        refused(bob.http.get("/v1/jobs"), 429, "too-many-requests")
        assert server.http.get("/v1/jobs").status_code == 200
    wait_until(lambda: bob.http.get("/v1/jobs").status_code == 200, 20)


def test_a_store_of_one_person_stays_theirs(start_server):
    """What was there before anybody else had a token belongs to the admin."""
    server = start_server()
    job = server.submit(frames=1)
    server.wait_for(job, "done")
    bob = guest(server, "bob")
    assert bob.http.get("/v1/jobs").json() == []
    assert bob.http.get(f"/v1/jobs/{job}/frames/0.png").status_code == 404
    assert server.http.get(f"/v1/jobs/{job}/frames/0.png").status_code == 200


def test_a_damaged_list_of_people_lets_nobody_in_and_is_told(start_server, tmp_path):
    (tmp_path / "people.sqlite3").write_bytes(b"not a database, but long enough to look like one" * 100)
    with pytest.raises(AssertionError, match=r"error: The list of people, .* cannot be read") as told:
        start_server(data=tmp_path)
    assert "Traceback" not in str(told.value)
    assert (tmp_path / "people.sqlite3").read_bytes().startswith(b"not a database")


def test_uploads_that_are_cleaned_up_are_forgotten(tmp_path: Path):
    people = People(tmp_path / "people.sqlite3")
    people.add_upload("alice", "a" * 64, 100)
    people.add_upload("alice", "b" * 64, 11)
    people.forget_uploads(["a" * 64])
    assert people.uploaded("alice", ["a" * 64, "b" * 64]) == {"b" * 64}
    assert people.uploaded_bytes("alice") == 11
    assert people.uploaded("bob", ["b" * 64]) == set()
    people.close()
