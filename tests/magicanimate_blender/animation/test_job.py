"""A job from drawn maps to frames on disk, against a scripted server that does what servers do: die."""

import itertools
import json
import shutil
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from magicanimate_blender.animation import Animation, Animations, JobSpec, Record, State, variations
from magicanimate_blender.animation.states import NEXT
from magicanimate_blender.client import ClientError, FileProblem, sha256
from tests.magicanimate_blender.animation.helpers import REFERENCE, FakeSource, ended, in_state, make_spec, start, wait
from tests.magicanimate_blender.client.fake_server import VIDEO, FakeServer, Handler, png


def test_a_job_ends_with_its_files_on_disk(animations, fake):
    job = start(animations, 5)
    now = wait(job, ended)
    assert (now.state, now.frames_fetched, now.fraction, now.fix) == (State.DONE, 5, 1.0, "")
    assert [job.folder.frame(n).read_bytes() for n in range(5)] == [png(value=n) for n in range(5)]
    assert job.folder.frame(0).name == "000001.png"
    assert job.folder.video.read_bytes() == VIDEO
    assert job.folder.preview.is_file()
    assert json.loads(job.folder.recipe.read_text()) == {"recipe": job.id}
    record = animations.history.get(job.id)
    assert record == job.record
    assert (record.state, record.seconds, record.demo_weights, record.seed) == (State.DONE, 1.5, True, 1)
    assert record.maps == tuple(sha256(png(value=100 + n)) for n in range(5))


def test_maps_are_added_one_by_one_in_any_order_and_frames_arrive_as_they_are_decoded(animations, fake):
    job = start(animations, 6, draw=False)
    for frame in reversed(job.missing_maps()):
        assert job.poll().state is State.DRAWING
        if frame == 0:
            fake.pace = 0.1
        job.add_map(frame, png(value=frame))
    assert job.missing_maps() == []
    wait(job, lambda now: now.frames_done >= 2)
    fake.gate.clear()
    now = wait(job, lambda now: now.frames_fetched == now.frames_done)
    assert (now.state, now.frames_fetched < 6) == (State.RUNNING, True)
    fake.gate.set()
    assert wait(job, ended).state is State.DONE


def test_a_frame_that_was_not_asked_for_is_a_mistake(animations):
    job = start(animations, 2)
    for frame in (0, 2, -1):
        with pytest.raises(ValueError, match="not wanted"):
            job.add_map(frame, png())


def test_equal_maps_are_sent_once(animations, fake):
    job = start(animations, 4, draw=False)
    for frame in range(4):
        job.add_map(frame, png(value=9))
    wait(job, ended)
    assert len([request for request in fake.requests if request.startswith("PUT /v1/blobs")]) == 2


def test_the_snapshot_tells_stage_steps_and_time_left(animations, fake):
    fake.steps, fake.pace = 20, 0.02
    job = start(animations)
    now = wait(job, lambda now: now.state is State.RUNNING and now.step > 0)
    assert (now.title, now.steps, now.eta_s) == ("Animating", 20, 1.0)
    assert 0 < now.fraction < 1
    now = wait(job, lambda now: now.preview_version > 0)
    assert now.preview is not None
    assert now.preview.is_file()
    job.cancel()
    wait(job, ended)


# cancelling


def test_cancel_while_drawing(animations, fake):
    job = start(animations, 3, draw=False)
    job.add_map(0, png())
    job.cancel()
    assert wait(job, ended).state is State.CANCELLED
    assert fake.jobs == {}


def test_cancel_while_running_keeps_what_is_decoded(animations, fake):
    fake.pace = 0.02
    job = start(animations, 50)
    wait(job, lambda now: now.frames_done >= 5)
    job.cancel()
    now = wait(job, ended)
    assert now.state is State.CANCELLED
    assert fake.jobs[job.id]["state"] == "cancelled"
    assert 5 <= now.frames_fetched < 50
    assert job.folder.fetched(50) == set(range(now.frames_fetched))


def test_an_impatient_click_on_cancel_is_one_cancel(animations, fake):
    fake.pace = 0.02
    job = start(animations, 50)
    wait(job, lambda now: now.frames_done >= 5)
    while not job.poll().state.ended:
        job.cancel()
        time.sleep(0.001)
    assert job.poll().state is State.CANCELLED


def test_cancel_while_the_server_starts(tmp_path):
    class Slow:
        def connect(self, say, stop):
            say("Starting")
            stop.wait(30)
            raise ClientError("stopped", fix="", code="cancelled")

    animations = Animations(tmp_path, Slow())
    job = start(animations)
    wait(job, lambda now: now.state is State.STARTING and now.message == "Starting")
    job.cancel()
    assert wait(job, ended).state is State.CANCELLED


def test_cancel_when_it_is_too_late_leaves_the_servers_result_alone(animations, fake):
    cancelled = threading.Event()

    def slow(handler: Handler) -> bool:
        if handler.path.endswith("recipe.json"):
            cancelled.wait(20)
        return False

    fake.fault = slow
    job = start(animations, 3)
    wait(job, in_state(State.FETCHING))
    job.cancel()
    cancelled.set()
    assert wait(job, ended).state is State.CANCELLED
    assert fake.jobs[job.id]["state"] == "done"
    job.retry()
    assert wait(job, ended).state is State.DONE


def test_a_cancel_from_elsewhere_is_shown(animations, fake):
    fake.gate.clear()
    job = start(animations, 20)
    wait(job, in_state(State.RUNNING))
    fake.update(fake.jobs[job.id], state="cancelled")
    now = wait(job, ended)
    assert (now.state, now.message) == (State.CANCELLED, "Cancelled in the server")


# faults


def test_no_server_is_said_at_once_and_retry_goes_on(animations, fake):
    fake.kill()
    job = start(animations)
    now = wait(job, ended)
    assert (now.state, now.code) == (State.FAILED, "server-not-running")
    assert now.fix.startswith("Start the server")
    assert "No server is running" in animations.history.get(job.id).problem
    fake.start()
    job.retry()
    assert wait(job, ended).state is State.DONE


def test_a_server_that_is_not_there_is_known_while_maps_are_drawn(animations, fake):
    fake.kill()
    job = start(animations, draw=False)
    job.add_map(0, png(value=100))
    now = wait(job, ended)
    assert (now.state, now.code) == (State.FAILED, "server-not-running")
    assert job.missing_maps() == [1, 2]


@pytest.mark.parametrize(("state", "said"), [("missing", "Demo: the weights are missing"), ("invalid", "are damaged")])
def test_weights_that_are_not_there_are_known_while_maps_are_drawn(animations, fake, state, said):
    def lacking(handler: Handler) -> bool:
        if handler.path == "/v1/engines":
            sets = [{"id": "demo", "title": "Demo", "demo": True, "size_multiple": 64, "default_size": [128, 128],
                     "state": state}]  # fmt: skip
            tracks = [{"name": "densepose", "title": "", "description": "", "encoding": "densepose-labels"}]
            handler.json(200, [{"id": "magicanimate", "title": "", "tracks": tracks, "settings_schema": {},
                                "weight_sets": sets}])  # fmt: skip
        return handler.path == "/v1/engines"

    fake.fault = lacking
    job = start(animations, draw=False)
    now = wait(job, ended)
    assert (now.state, now.code) == (State.FAILED, f"weights-{state}")
    assert said in now.message
    assert job.missing_maps() == [0, 1, 2]


def test_the_server_is_started_while_maps_are_drawn(animations, source):
    job = start(animations, draw=False)
    wait(job, lambda now: source.connects == 1)
    assert job.poll().state is State.DRAWING
    for frame in job.missing_maps():
        job.add_map(frame, png(value=100 + frame))
    assert wait(job, ended).state is State.DONE


def test_a_server_killed_again_and_again_does_not_lose_the_job(animations, fake, source):
    fake.gate.clear()
    job = start(animations, 4)
    for _ in range(2):
        wait(job, in_state(State.RUNNING))
        fake.kill()
        now = wait(job, in_state(State.STARTING))
        assert now.code in ("connection-lost", "server-not-running")
        assert now.title == "Looking for the server"
        assert now.message
        fake.start()
    fake.gate.set()
    assert wait(job, ended).state is State.DONE
    assert len(fake.jobs) == 1
    assert source.connects >= 3


def test_a_server_killed_while_maps_are_sent(animations, fake):
    killed = threading.Event()

    def die(handler: Handler) -> bool:
        if handler.command == "PUT" and len(fake.blobs) == 3 and not killed.is_set():
            killed.set()
            threading.Thread(target=lambda: (fake.kill(), fake.start())).start()
            handler.close_connection = True
            return True
        return False

    fake.fault = die
    job = start(animations, 6)
    assert wait(job, ended).state is State.DONE
    assert killed.is_set()


def test_patience_ends_where_nobody_sits_in_front_of_it(tmp_path, source, fake):
    animations = Animations(tmp_path, source, patience=0.3)
    fake.gate.clear()
    job = start(animations, 5)
    wait(job, in_state(State.RUNNING))
    fake.kill()
    now = wait(job, ended)
    assert (now.state, now.code) == (State.FAILED, "server-not-running")


def test_cancel_while_the_server_is_away(animations, fake):
    fake.gate.clear()
    job = start(animations, 5)
    wait(job, in_state(State.RUNNING))
    fake.kill()
    wait(job, in_state(State.STARTING))
    job.cancel()
    now = wait(job, ended)
    assert now.state is State.CANCELLED
    assert "could not be told" in now.message


def test_a_wrong_token_fails_with_the_servers_words(animations, source):
    source.token = "wrong"
    now = wait(start(animations), ended)
    assert (now.state, now.code, now.fix) == (State.FAILED, "wrong-token", "Use the token of this server.")


def test_a_job_that_fails_says_why_and_can_be_tried_again(animations, fake):
    fake.gate.clear()
    job = start(animations, 3)
    wait(job, in_state(State.RUNNING))
    problem = {"detail": "The device is full", "code": "out-of-memory", "fix": "Choose a smaller size."}
    fake.update(fake.jobs[job.id], state="failed", problem=problem)
    now = wait(job, ended)
    assert (now.state, now.message, now.fix, now.code) == (
        State.FAILED,
        "The device is full",
        "Choose a smaller size.",
        "out-of-memory",
    )
    fake.gate.set()
    job.retry()
    assert wait(job, ended).state is State.DONE


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"state": "odd"}'])
def test_garbage_from_the_server_ends_the_job_with_a_sentence(animations, fake, body):
    fake.fault = lambda handler: "/jobs/" in handler.path and handler.answer(200, body) is None
    now = wait(start(animations), ended)
    assert (now.state, now.code) == (State.FAILED, "bad-answer")
    assert now.fix


def test_frames_that_are_no_pictures_are_not_kept(animations, fake):
    fake.fault = lambda handler: handler.path.endswith(".png") and handler.answer(200, b"<html>") is None
    job = start(animations, 1)
    assert wait(job, ended).code == "bad-answer"
    assert not job.folder.frame(0).exists()


def test_a_done_job_whose_frames_are_gone_is_not_called_done(animations, fake):
    def lose(handler: Handler) -> bool:
        if "/frames" in handler.path:
            fake.frames[next(iter(fake.jobs))].pop(1, None)
        return False

    fake.fault = lose
    now = wait(start(animations, 3), ended)
    assert (now.state, now.code) == (State.FAILED, "bad-answer")
    assert "frame 1" in now.message


def test_a_job_deleted_in_the_server_is_told(animations, fake):
    fake.gate.clear()
    job = start(animations, 30)
    wait(job, in_state(State.RUNNING))
    fake.jobs.pop(job.id)
    fake.emit(job.id, "removed", {"id": job.id})
    assert wait(job, ended).code == "job-removed"


def test_a_missed_end_is_noticed_by_asking(animations, fake, monkeypatch):
    """The stream may say nothing between its opening and the first look at the job."""
    monkeypatch.setattr("magicanimate_blender.animation.work.ASK_AGAIN", 0.2)
    fake.emit = lambda *args: None
    assert wait(start(animations, 2), ended).state is State.DONE


def test_a_full_disk_fails_with_its_name_and_goes_on_when_there_is_room(animations, fake, monkeypatch):
    from magicanimate_blender.client import files

    real = files.os.replace

    def full(source, target):
        if "frames" in str(target):
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(files.os, "replace", full)
    job = start(animations, 3)
    now = wait(job, ended)
    assert (now.state, now.code) == (State.FAILED, "disk-full")
    assert list(job.folder.path.rglob("*.part")) == []
    monkeypatch.undo()
    job.retry()
    assert wait(job, ended).state is State.DONE


def test_a_map_lost_on_a_full_disk_is_written_at_the_next_try(animations, monkeypatch):
    from magicanimate_blender.client import files

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    job = start(animations, 3)
    assert wait(job, ended).code == "disk-full"
    monkeypatch.undo()
    job.retry()
    assert wait(job, ended).state is State.DONE


def test_our_own_mistakes_end_the_job_too(tmp_path):
    class Broken:
        def connect(self, say, stop):
            raise KeyError("oops")

    now = wait(start(Animations(tmp_path, Broken())), ended)
    assert (now.state, now.code) == (State.FAILED, "internal-error")


# Blender comes and goes


def test_blender_restarts_while_the_job_runs(animations, fake, source, tmp_path):
    fake.gate.clear()
    job = start(animations, 8)
    wait(job, in_state(State.RUNNING))
    animations.close()
    assert fake.jobs[job.id]["state"] == "running"
    fake.gate.set()
    later = Animations(tmp_path / "results", source)
    assert later.unfinished() == [job.id]
    again = later.resume(job.id)
    assert later.resume(job.id) is again
    assert later.unfinished() == []
    assert wait(again, ended).state is State.DONE
    assert again.spec == job.spec
    assert len([request for request in fake.requests if request.startswith("PUT /v1/jobs")]) == 1


def test_blender_restarts_while_maps_are_drawn(animations, fake, source, tmp_path):
    job = start(animations, 4, draw=False)
    job.add_map(0, png(value=100))
    job.add_map(2, png(value=102))
    wait(job, lambda now: now.step == 2)
    animations.close()
    again = Animations(tmp_path / "results", source).resume(job.id)
    assert again.missing_maps() == [1, 3]
    for frame in again.missing_maps():
        again.add_map(frame, png(value=100 + frame))
    assert wait(again, ended).state is State.DONE
    assert again.record.maps == tuple(sha256(png(value=100 + n)) for n in range(4))


def test_a_finished_job_resumes_as_finished_without_a_server(animations, fake, source, tmp_path):
    job = start(animations)
    wait(job, ended)
    fake.kill()
    later = Animations(tmp_path / "results", source)
    assert later.unfinished() == []
    assert wait(later.resume(job.id), ended).state is State.DONE


def test_a_failed_job_stays_failed_over_a_restart_until_it_is_tried_again(animations, fake, source, tmp_path):
    fake.kill()
    job = start(animations)
    assert wait(job, ended).state is State.FAILED
    animations.close()
    fake.start()
    again = Animations(tmp_path / "results", source)
    assert again.unfinished() == []
    resumed = again.resume(job.id)
    assert resumed.poll().state is State.FAILED
    assert "No server is running" in resumed.poll().message
    resumed.retry()
    wait(resumed, lambda now: not now.state.ended or now.state is State.DONE)
    assert wait(resumed, ended).state is State.DONE
    assert again.history.get(job.id).problem == ""


def test_a_retry_that_blender_did_not_survive_is_unfinished(animations, fake, source, tmp_path):
    fake.kill()
    job = start(animations)
    wait(job, ended)
    fake.gate.clear()
    fake.start()
    job.retry()
    wait(job, in_state(State.RUNNING))
    animations.close()
    assert Animations(tmp_path / "results", source).unfinished() == [job.id]


def test_a_server_that_forgot_the_job_gets_it_again(animations, fake, source, tmp_path):
    fake.gate.clear()
    job = start(animations)
    wait(job, in_state(State.RUNNING))
    animations.close()
    fake.kill()
    fake.jobs.clear()
    fake.blobs.clear()
    fake.gate.set()
    fake.start()
    now = wait(Animations(tmp_path / "results", source).resume(job.id), ended)
    assert now.state is State.DONE
    assert now.notes == ("The server no longer knew this job: it was sent again",)


def test_resuming_what_is_not_there_is_a_sentence(animations):
    for job in ("00000000-0000-0000-0000-000000000000", "../../etc", ""):
        with pytest.raises(FileProblem) as caught:
            animations.resume(job)
        assert caught.value.code == "result-missing"


def test_several_jobs_at_once(animations):
    jobs = [start(animations, 3) for _ in range(4)]
    assert animations.busy()
    for job in jobs:
        assert wait(job, ended).state is State.DONE
    assert not animations.busy()
    assert len(animations.history.records()) == 4


def test_closing_leaves_no_thread(animations, fake):
    fake.gate.clear()
    before = {thread.name for thread in threading.enumerate()}
    job = start(animations, 20)
    wait(job, in_state(State.RUNNING))
    animations.close()
    ours = {thread.name for thread in threading.enumerate() if thread.name.startswith("magicanimate")}
    assert ours <= before


# regenerating


def test_a_second_job_computes_only_what_changed(animations, fake):
    base = start(animations, 6)
    wait(base, ended)
    job = start(animations, 6, draw=False, base=base.id, redo=(5,))
    for frame in range(6):
        job.add_map(frame, png(value=100 + frame if frame != 2 else 7))
    now = wait(job, ended)
    assert now.plan == "2 of 6 frames will be computed"
    assert fake.jobs[job.id]["body"]["base_job"] == base.id
    assert fake.jobs[job.id]["body"]["redo"] == [5]
    assert [job.folder.frame(n).read_bytes() for n in range(6)] == [png(value=n) for n in range(6)]


@pytest.mark.parametrize("gone", [True, False])
def test_a_base_that_can_not_help_means_a_full_run_that_says_why(animations, fake, gone):
    base = start(animations, 4)
    wait(base, ended)
    if gone:
        shutil.rmtree(base.folder.path)
    job = start(animations, 4, base=base.id, settings={"steps": 2, "seed": 1 if gone else 2})
    why = "the earlier result is gone" if gone else "another seed"
    assert wait(job, ended).plan == f"All 4 frames will be computed: {why}"
    assert fake.jobs[job.id]["body"]["base_job"] is None


def test_variations_differ_in_the_seed_alone():
    specs = variations(make_spec(), 4)
    assert [spec.settings["seed"] for spec in specs] == [spec.settings["seed"] for spec in variations(make_spec(), 4)]
    assert len({spec.settings["seed"] for spec in specs}) == 4
    assert specs[0].settings["seed"] == 1
    assert len({spec.group for spec in specs}) == 1


# whatever happens


SPECS = st.builds(
    make_spec,
    st.integers(1, 5000),
    name=st.text(),
    settings=st.dictionaries(st.text(), st.integers() | st.booleans() | st.text() | st.none()),
    redo=st.lists(st.integers(0, 99)).map(tuple),
    group=st.none() | st.text(),
)


@given(SPECS)
def test_a_spec_survives_its_file(spec):
    assert JobSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


FAULT = st.sampled_from(["kill", "cancel", "retry", "problem", "break", "forget", "garbage"])


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(FAULT, st.floats(0, 0.06)), max_size=4))
def test_whatever_happens_the_job_ends_by_allowed_steps_and_tells_how(tmp_path_factory, faults):
    fake = FakeServer(steps=3, pace=0.005)
    animations = Animations(tmp_path_factory.mktemp("results"), FakeSource(fake))
    job = start(animations, 4)
    seen = [job.poll().state]

    def watch(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if (now := job.poll().state) is not seen[-1]:
                seen.append(now)
            time.sleep(0.0005)

    for fault, after in faults:
        watch(after)
        found = fake.jobs.get(job.id)
        if fault == "kill":
            fake.kill()
            watch(0.05)
            fake.start()
        elif fault == "cancel":
            job.cancel()
        elif fault == "retry":
            job.retry()
        elif fault == "problem" and found is not None and found["state"] == "running":
            fake.update(found, state="failed", problem={"detail": "no", "code": "no", "fix": "Yes."})
        elif fault == "forget":
            fake.jobs.pop(job.id, None)
        elif fault in ("break", "garbage"):
            fake.fault = lambda handler, fault=fault: bool(
                handler.answer(200, b"<") is None if fault == "garbage" else setattr(handler, "close_connection", True)
            )
            watch(0.02)
            fake.fault = lambda handler: False
    end = wait(job, ended, 20)
    assert end.state is State.DONE or end.message
    if end.state is State.FAILED:
        assert end.fix
        assert end.code != "internal-error"
    if end.state is State.DONE:
        assert job.folder.fetched(4) == {0, 1, 2, 3}
    assert Record.load(job.folder).state is end.state
    reachable = {state: {state} for state in State}
    for _ in State:
        reachable = {state: set().union(found, *(NEXT[s] for s in found)) for state, found in reachable.items()}
    assert all(after in reachable[before] for before, after in itertools.pairwise(seen))
    animations.close()
    fake.kill()


def test_a_reference_other_than_the_specs_is_a_mistake(animations):
    with pytest.raises(ValueError, match="reference"):
        animations.start(make_spec(reference="0" * 64), REFERENCE)
    with pytest.raises(ValueError, match="frame"):
        animations.start(make_spec(frames=0), REFERENCE)
    assert isinstance(start(animations), Animation)
