"""Databases of other versions, and rows that this one cannot read.

`data/jobs-0.1.0.sqlite3` was written by 0.1.0: jobs 1 to 5 (done and pinned, done, failed, running, queued).
"""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from inference_server.errors import UserError
from inference_server.jobs.migrations import STEPS, version_of
from inference_server.jobs.store import Store

OLD = Path(__file__).parent / "data" / "jobs-0.1.0.sqlite3"
IDS = [UUID(int=n) for n in range(1, 6)]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copy(OLD, tmp_path / "jobs.sqlite3"))


def test_a_database_of_0_1_0_comes_over_whole(old):
    with closing(sqlite3.connect(old)) as db:
        db.row_factory = sqlite3.Row
        before = {row["id"]: dict(row) for row in db.execute("SELECT * FROM jobs")}
        assert version_of(db) == 0
    store = Store(old)
    assert [row.id for row in store.newest(10)] == IDS[::-1]
    for job in IDS:
        found, was = store.get(job), before[str(job)]
        assert json.loads(found.body.model_dump_json()) == json.loads(was["body"])
        assert (found.number, found.rank, found.state) == (was["number"], was["rank"], was["state"])
        assert (found.created_at, found.started_at, found.finished_at) == tuple(
            was[name] for name in ("created_at", "started_at", "finished_at")
        )
        assert (found.pinned, found.low_memory) == (bool(was["pinned"]), bool(was["low_memory"]))
        assert (found.died_at, found.stale, found.notes) == (
            was["died_at"], json.loads(was["stale"]), json.loads(was["notes"]),
        )  # fmt: skip
        assert (found.owner, found.cancelling) == ("", False)
        assert store.brief(job).body == found.body.outline()
    assert store.get(IDS[0]).result.seconds == 1.5
    assert store.get(IDS[2]).problem.code == "worker-died"
    assert store.consent_given_at(f"{3:064x}") == 1_700_000_002.0
    assert (store.setting("starts", 0), store.setting("paused", False)) == (7, True)
    assert store.checked_maps(["a" * 64]) == {"a" * 64: (64, 64)}
    assert len(store.used_blobs()) == 5 + 5 * 3
    store.close()
    with closing(sqlite3.connect(old)) as db:
        assert version_of(db) == len(STEPS)
    assert [row.id for row in Store(old).newest(10)] == IDS[::-1], "a second start changes nothing"


def test_a_migration_that_fails_changes_nothing(old, monkeypatch):
    def fail(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE half (x)")
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("inference_server.jobs.migrations.STEPS", (*STEPS, fail))
    with pytest.raises(sqlite3.OperationalError):
        Store(old)
    with closing(sqlite3.connect(old)) as db:
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert (version_of(db), "half" in tables, "bodies" in tables) == (0, False, False)
    monkeypatch.undo()
    assert len(Store(old).newest(10)) == 5


def later_version(path: Path, *statements: str) -> None:
    Store(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        for statement in (*statements, f"PRAGMA user_version = {len(STEPS) + 1}"):
            db.execute(statement)


def test_tables_of_a_later_version_are_used_as_far_as_they_go(old):
    later_version(old, "ALTER TABLE jobs ADD COLUMN mood TEXT DEFAULT 'good'")
    store = Store(old)
    assert len(store.newest(10)) == 5
    store.delete(IDS[0])
    store.close()
    with closing(sqlite3.connect(old)) as db:
        assert version_of(db) == len(STEPS) + 1, "the newer server finds its own version again"


def test_tables_that_are_too_new_are_left_alone_with_the_way_out(old):
    later_version(old, "ALTER TABLE jobs RENAME COLUMN outline TO sketch")
    content = old.read_bytes()
    with pytest.raises(UserError, match="newer server") as caught:
        Store(old)
    assert caught.value.code == "store-too-new"
    assert old.read_bytes() == content


BAD = {
    "a body with an unknown field": "UPDATE bodies SET body = json_set(body, '$.mood', 'good') WHERE id = :id",
    "an outline with an unknown field": "UPDATE jobs SET outline = json_set(outline, '$.mood', 'good') WHERE id = :id",
    "a body that is no JSON": "UPDATE bodies SET body = '{\"engine\"' WHERE id = :id",
    "no body": "DELETE FROM bodies WHERE id = :id",
    "an unknown state": "UPDATE jobs SET state = 'dreaming' WHERE id = :id",
    "notes that are no JSON": "UPDATE jobs SET notes = 'x' WHERE id = :id",
    "a result with an unknown field": "UPDATE jobs SET result = '{\"mood\": 1}' WHERE id = :id",
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("state", ["queued", "running", "done"])
def test_one_bad_row_stops_nothing(start_server, tmp_path, bad, state):
    server = start_server(data=tmp_path)
    good, broken = server.submit(), server.submit()
    for job in (good, broken):
        server.wait_for(job, "done")
    server.stop()
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as db, db:
        db.execute("UPDATE jobs SET state = ? WHERE id = ?", (state, broken))
        db.execute(BAD[bad], {"id": broken})
    server.start()
    listed = server.http.get("/v1/jobs")
    assert listed.status_code == 200
    assert good in {job["id"] for job in listed.json()}
    after = server.submit()
    assert server.wait_for(after, "done")["position"] == 0
    answer = server.http.get(f"/v1/jobs/{broken}")
    assert (answer.status_code, answer.json()["code"]) == (409, "job-unreadable")
    assert "delete the job" in answer.json()["fix"]
    body = server.body()
    assert server.http.put(f"/v1/jobs/{broken}", json=body).status_code == 409
    assert (tmp_path / "jobs" / broken / "video.mp4").exists(), "its result is kept for the newer server"
    assert server.http.delete(f"/v1/jobs/{broken}").status_code == 204
    assert not (tmp_path / "jobs" / broken).exists()
    assert server.http.get(f"/v1/jobs/{broken}").status_code == 404
    server.stop()
