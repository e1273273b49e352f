"""A person's picture goes when the last job that uses it is deleted, or at once, with everything made from it."""

import hashlib
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from tests.inference_server.conftest import RunningServer, reference_png


@pytest.fixture
def server(start_server, tmp_path) -> RunningServer:
    server = start_server(data=tmp_path / "data")
    yield server
    server.stop()


PICTURE = hashlib.sha256(reference_png()).hexdigest()


def files_with(server: RunningServer, content: bytes) -> list[Path]:
    """Every file of the data folder that holds these very bytes."""
    return [path for path in server.data.rglob("*") if path.is_file() and content in path.read_bytes()]


def consents(server: RunningServer) -> list[str]:
    with closing(sqlite3.connect(server.data / "jobs.sqlite3")) as db:
        return [row[0] for row in db.execute("SELECT reference FROM consents")]


def test_deleting_the_last_job_of_a_picture_erases_the_picture(server):
    first, second = server.submit(), server.submit(frames=3)
    for job in (first, second):
        server.wait_for(job, "done")
    assert server.http.delete(f"/v1/jobs/{first}").status_code == 204
    assert len(files_with(server, reference_png())) == 1, "the other job still needs it"
    assert consents(server) == [PICTURE]
    assert server.http.delete(f"/v1/jobs/{second}").status_code == 204
    assert files_with(server, reference_png()) == []
    assert [path for path in (server.data / "blobs").rglob("*") if path.is_file()] == []
    assert consents(server) == []
    assert server.http.head(f"/v1/blobs/{PICTURE}").status_code == 404


def test_a_picture_is_erased_with_everything_made_from_it(server):
    done, other = server.submit(), server.submit(size=32)
    for job in (done, other):
        server.wait_for(job, "done")
    running = server.submit(settings={"steps": 400, "step_seconds": 0.05})
    server.wait_for_step(running, 1)
    server.http.patch("/v1/queue", json={"paused": True})
    server.submit(name="waiting")
    answer = server.http.delete(f"/v1/blobs/{PICTURE}")
    assert (answer.status_code, answer.json()["code"]) == (409, "blob-in-use")
    assert server.job(done)["state"] == "done", "nothing has gone"
    server.http.delete(f"/v1/jobs/{running}")
    server.wait_for(running, "cancelled")
    assert server.http.delete(f"/v1/blobs/{PICTURE}").status_code == 204
    assert [job["id"] for job in server.http.get("/v1/jobs").json()] == [other]
    assert sorted(path.name for path in (server.data / "jobs").iterdir()) == [other]
    assert files_with(server, reference_png()) == []
    assert len(files_with(server, reference_png(32))) == 1
    answer = server.http.delete(f"/v1/blobs/{PICTURE}")
    assert (answer.status_code, answer.json()["code"]) == (404, "no-such-blob")


def test_a_job_whose_picture_was_erased_meanwhile_is_refused(server):
    body = server.body()
    assert server.http.delete(f"/v1/blobs/{body['reference']}").status_code == 204
    answer = server.http.put(f"/v1/jobs/{uuid.uuid4()}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "blob-missing")


def test_a_garbage_key_is_replaced_and_said(server):
    server.wait_for(server.submit(), "done")
    for name, content in (("key.pem", b"garbage"), ("key.pem", b""), ("chain.pem", b"\0" * 900)):
        (server.data / "identity" / name).write_bytes(content)
        job = server.submit()
        done = server.wait_for(job, "done")
        assert len(done["notes"]) == 1
        signer = server.http.get(f"/v1/jobs/{job}/recipe.json").json()["signer"]
        assert signer in done["notes"][0]
    again = server.submit()
    assert server.wait_for(again, "done")["notes"] == []
    assert server.http.get(f"/v1/jobs/{again}/recipe.json").json()["signer"] == signer
