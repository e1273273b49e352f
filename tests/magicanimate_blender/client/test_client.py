"""The client against a scripted server: answers, faults, reconnects."""

import os
import socket
import threading
import time
import uuid

import pytest

from magicanimate_blender.client import (
    BadAnswer,
    Client,
    ClientError,
    FileProblem,
    FrameReady,
    JobChanged,
    ServerProblem,
    ServerUnreachable,
    StreamLost,
    is_loopback,
    sha256,
    write_atomic,
)
from tests.magicanimate_blender.client.fake_server import VIDEO, Handler, png


def make_job(client: Client, frames: int = 3) -> str:
    job = str(uuid.uuid4())
    body = {
        "engine": "magicanimate",
        "reference": client.upload(b"picture"),
        "tracks": {"densepose": [client.upload(png(value=n)) for n in range(frames)]},
    }
    client.create_job(job, body)
    return job


def wait_until_done(client: Client, job: str) -> None:
    until = time.monotonic() + 10
    while (found := client.job(job)) is None or found.state != "done":
        assert time.monotonic() < until
        time.sleep(0.01)


def code_of(call) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    assert caught.value.fix
    assert caught.value.fix.endswith(".")
    return caught.value.code


def test_what_the_server_says_of_itself_is_typed(client):
    info = client.server()
    assert info.device is not None
    assert (info.device.kind, info.device.memory_free, info.queue.running) == ("cpu", 4, 0)
    assert client.engines()[0].weight_sets[0].default_size == (128, 128)
    assert client.weights()[0].licence == "CC0"


def test_inputs_are_sent_once(client, fake):
    data = bytes(100_000)
    assert client.upload(data) == client.upload(data) == sha256(data)
    assert [request.split()[0] for request in fake.requests] == ["HEAD", "PUT", "HEAD"]


def test_asking_for_a_part_map_would_cost_as_much_as_sending_it(client, fake):
    assert client.upload(png()) == client.upload(png()) == sha256(png())
    assert [request.split()[0] for request in fake.requests] == ["PUT", "PUT"]


def test_one_socket_serves_many_requests(client, fake):
    for _ in range(5):
        client.server()
    assert len(fake._sockets) == 1


def test_a_socket_that_the_server_closed_meanwhile_is_replaced(client, fake):
    client.server()
    for connection in list(fake._sockets):
        connection.shutdown(socket.SHUT_RDWR)
    assert client.server().api == 1


def test_threads_share_a_client(client):
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(client.server().name)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8


def test_loopback_requests_never_go_to_a_proxy(client, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert client.server().api == 1


def test_a_finished_job_is_fetched_frame_by_frame_or_as_a_stream(client, tmp_path):
    job = make_job(client)
    wait_until_done(client, job)
    assert client.frame(job, 1) == png(value=1)
    assert dict(client.frames(job, 1, 3)) == {1: png(value=1), 2: png(value=2)}
    assert list(client.frames(job, 5, 9)) == []
    client.video(job, tmp_path / "video.mp4")
    client.recipe(job, tmp_path / "recipe.json")
    assert (tmp_path / "video.mp4").read_bytes() == VIDEO
    assert sorted(os.listdir(tmp_path)) == ["recipe.json", "video.mp4"]


def test_a_frame_that_is_not_decoded_is_a_problem_by_name(client):
    assert code_of(lambda: client.frame(str(uuid.uuid4()), 0)) == "frame-not-ready"


def test_another_body_for_a_job_is_refused(client):
    job = make_job(client)
    assert code_of(lambda: client.create_job(job, {"reference": "", "tracks": {"densepose": []}})) == "job-exists"


def test_deleting_what_is_gone_is_well(client):
    client.delete_job(str(uuid.uuid4()))


def test_a_wrong_token_is_told_in_the_servers_words(fake):
    with pytest.raises(ServerProblem, match=r"The token is wrong\. Use the token") as caught:
        Client(fake.url, "other").server()
    assert (caught.value.status, caught.value.code) == (401, "wrong-token")


def test_nobody_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert code_of(Client(f"http://127.0.0.1:{port}", "").server) == "server-not-running"


def test_a_server_that_is_silent_times_out():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}", "", timeout=0.2)
        assert code_of(client.server) == "server-timeout"


@pytest.mark.parametrize("url", ["", "127.0.0.1:80", "ftp://host", "http://", "http://[::1", "http://host:99999"])
def test_an_address_that_is_none(url):
    assert code_of(lambda: Client(url, "")) == "bad-address"


@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", os.urandom(500) + b"\r\n\r\n"],
)
def test_something_else_that_answers_is_no_traceback(answer):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(answer)
            connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        assert code_of(Client(f"http://127.0.0.1:{listener.getsockname()[1]}", "", timeout=2).server) in (
            "bad-answer",
            "connection-lost",
        )
        thread.join()


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[]", b"{}", b'{"name": 1}', b"\xff\xfe", b"null", b"NaN"])
def test_a_web_page_or_other_json_is_a_bad_answer(client, fake, body):
    fake.fault = lambda handler: handler.answer(200, body) is None
    assert code_of(client.server) == "bad-answer"
    assert code_of(client.engines) == "bad-answer" if body != b"[]" else client.engines() == []


def test_an_error_page_of_another_server_is_a_bad_answer(client, fake):
    fake.fault = lambda handler: handler.answer(502, b"<html>Bad Gateway</html>", "text/html") is None
    assert code_of(client.server) == "bad-answer"


def test_a_later_api_is_not_guessed_at(client, fake):
    def later(handler: Handler) -> bool:
        fake.fault = lambda handler: False
        handler.answer = lambda status, body: Handler.answer(handler, status, body.replace(b'"api": 1', b'"api": 2'))
        handler.server_info()
        return True

    fake.fault = later
    assert code_of(client.server) == "bad-answer"


def test_an_answer_that_breaks_off_is_never_taken_for_whole(client, fake):
    def cut(handler: Handler) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"name": "x"}')
        handler.close_connection = True
        return True

    fake.fault = cut
    assert code_of(client.server) == "connection-lost"
    assert code_of(lambda: list(client.frames(str(uuid.uuid4()), 0, 9))) == "connection-lost"


def test_a_cut_tar_keeps_the_frames_before_the_cut(client, fake):
    job = make_job(client, 4)
    wait_until_done(client, job)

    def cut(handler: Handler) -> bool:
        whole = handler.answer
        handler.answer = lambda status, body, *kind: whole(status, body[:1600], *kind)
        handler.frame_range(job, "0", "4")
        return True

    fake.fault = cut
    frames = client.frames(job, 0, 4)
    assert next(frames) == (0, png(value=0))
    with pytest.raises(ServerUnreachable):
        next(frames)


def test_a_broken_download_goes_on_where_it_was(client, fake, tmp_path):
    job = make_job(client)
    asked: list[str] = []

    def cut(handler: Handler) -> bool:
        asked.append(handler.headers.get("Range", ""))
        if len(asked) > 2:
            return False
        begin = int(asked[-1][6:-1]) if asked[-1] else 0
        handler.send_response(206 if begin else 200)
        handler.send_header("ETag", '"v1"')
        handler.send_header("Content-Length", str(len(VIDEO) - begin))
        handler.end_headers()
        handler.wfile.write(VIDEO[begin : begin + 300_000])
        handler.close_connection = True
        return True

    fake.fault = cut
    client.video(job, tmp_path / "video.mp4")
    assert asked == ["", "bytes=300000-", "bytes=600000-"]
    assert (tmp_path / "video.mp4").read_bytes() == VIDEO


def test_a_download_that_never_comes_leaves_nothing_behind(client, fake, tmp_path):
    job = make_job(client)
    fake.kill()
    with pytest.raises(ServerUnreachable):
        client.video(job, tmp_path / "video.mp4")
    assert os.listdir(tmp_path) == []


def collect(stream, want, seconds: float = 20.0) -> list:
    """Events up to the first that `want` likes."""
    events = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        events.append(stream.events.get(timeout=seconds))
        if want(events[-1]):
            return events
    raise AssertionError(events)


def is_done(event) -> bool:
    return isinstance(event, JobChanged) and event.job.state == "done"


def test_events_tell_a_job_from_first_to_last(client):
    job = make_job(client)
    with client.job_events(job) as stream:
        events = collect(stream, is_done)
    frames = {event.frame for event in events if isinstance(event, FrameReady)}
    assert all(not isinstance(event, StreamLost) for event in events)
    assert frames <= {0, 1, 2}


def test_no_event_is_lost_when_the_connection_breaks_again_and_again(client, fake):
    fake.pace = 0.02
    job = make_job(client, 20)
    with client.job_events(job) as stream:
        events = collect(stream, lambda event: isinstance(event, JobChanged))
        for _ in range(2):
            events += collect(stream, lambda event: isinstance(event, FrameReady))
            for connection in list(fake._sockets):
                connection.shutdown(socket.SHUT_RDWR)
            events += collect(stream, lambda event: isinstance(event, StreamLost))
        events += collect(stream, is_done)
    assert [event.frame for event in events if isinstance(event, FrameReady)] == list(range(20))


def test_closing_wakes_a_reader_that_waits(client, fake):
    job = make_job(client)
    wait_until_done(client, job)
    stream = client.job_events(job)
    with stream:
        collect(stream, is_done)
    assert not stream._thread.is_alive()


def test_a_refused_stream_gives_up_and_says_so(client, fake):
    fake.fault = lambda handler: handler.problem(401, "wrong-token") is None
    with client.job_events(str(uuid.uuid4())) as stream:
        event = stream.events.get(timeout=2)
    assert isinstance(event, StreamLost)
    assert event.final
    assert event.error.code == "wrong-token"


def test_a_page_instead_of_events_gives_up(client, fake):
    fake.fault = lambda handler: handler.answer(200, b"data: {}\n\n", "text/html") is None
    with client.job_events(str(uuid.uuid4())) as stream:
        event = stream.events.get(timeout=2)
    assert isinstance(event, StreamLost)
    assert isinstance(event.error, BadAnswer)


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:8790", True),
        ("http://127.1.2.3", True),
        ("http://localhost:1", True),
        ("http://[::1]:80", True),
        ("https://render.example", False),
        ("http://192.168.0.7", False),
        ("http://127.0.0.1.example", False),
        ("", False),
    ],
)
def test_which_addresses_are_this_computer(url, loopback):
    assert is_loopback(url) is loopback


def test_a_file_is_whole_or_not_there(tmp_path):
    target = tmp_path / "made" / "frame.png"
    write_atomic(target, b"one")
    write_atomic(target, b"two")
    assert target.read_bytes() == b"two"
    assert os.listdir(target.parent) == ["frame.png"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_named(tmp_path):
    from magicanimate_blender.client.files import file_problem

    with pytest.raises(OSError, match="space") as caught, open("/dev/full", "wb", buffering=0) as full:
        full.write(b"x")
    assert file_problem(tmp_path / "frame.png", caught.value).code == "disk-full"


def test_a_folder_that_is_a_file_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileProblem):
        write_atomic(tmp_path / "file" / "frame.png", b"x")
