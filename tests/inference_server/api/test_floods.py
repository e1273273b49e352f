"""Strangers without a token, over real sockets: floods of refusals, silent and slow connections, guessed tokens."""

import contextlib
import os
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from inference_server.api import connections, logs, security, throttle

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at the server's process in /proc")

SILENT = 1100


def address(server) -> tuple[str, int]:
    host, port = server.url.split("//")[1].split(":")
    return host, int(port)


def console(server) -> str:
    return (server.data / "console.log").read_text("utf-8", "replace")


def ask(server, **headers: str) -> httpx.Response:
    return httpx.get(f"{server.url}/v1/server", headers=headers, trust_env=False, timeout=20)


@contextlib.contextmanager
def silent_connections(server, count: int, said: bytes = b"") -> Iterator[list[socket.socket]]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else 8192, hard))
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            opened.append(socket.create_connection(address(server), timeout=20))
            if said:
                opened[-1].sendall(said)
        yield opened
    finally:
        for connection in opened:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def limited(start_server, files: int):
    """A server that may open only so many files, as `ulimit -n` sets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    try:
        server = start_server()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (files, files))  # also the hard limit
    return server


def test_refusals_with_long_paths_do_not_fill_the_log(start_server):
    server = start_server()
    before = len(console(server))
    with httpx.Client(base_url=server.url, trust_env=False, timeout=20) as http:
        for _ in range(100):
            assert http.get("/" + "x" * 60_000).status_code == 414
            assert http.get("/v1/" + "y" * 1000, headers={"Host": "evil.example"}).status_code == 403
    assert len(console(server)) - before < 30 * 300
    assert (server.data / "logs" / "server.log").stat().st_size < 30 * 600


def test_a_path_forges_no_line_and_moves_no_cursor(start_server):
    server = start_server()
    path = "/%0A12:00:00 WARNING job%20deleted%1b[2J%1b[31m%E2%80%AE".replace(" ", "%20")
    assert httpx.get(server.url + path, trust_env=False).status_code == 401
    text = console(server)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert r"\n12:00:00 WARNING job deleted\x1b[2J" in text
    assert not [line for line in text.splitlines() if line.startswith("12:00:00")]


def test_what_was_left_out_is_counted():
    sparse, passed = logs.Sparse(burst=3, seconds=0.2), []
    for number in range(50):
        record = logs.logging.LogRecord("x", 30, "", 0, "refused %s", (number,), None)
        passed += [record.getMessage()] if sparse.filter(record) else []
    time.sleep(0.25)
    record = logs.logging.LogRecord("x", 30, "", 0, "refused %s", (99,), None)
    assert sparse.filter(record)
    assert passed == ["refused 0", "refused 1", "refused 2"]
    assert record.getMessage() == "refused 99 (47 more like it were not logged)"


@pytest.mark.slow
def test_a_console_that_is_a_file_is_bounded_when_asked(start_server):
    server = start_server(env={logs.CONSOLE_LIMIT: "3000"})
    for n in range(40):  # what one with a token makes the server log is not left out
        body = server.body(frames=1, settings={"fault": "error", "seed": n})
        server.http.put(f"/v1/jobs/00000000-0000-4000-8000-{n:012}", json=body)
    for n in range(40):
        server.wait_for(f"00000000-0000-4000-8000-{n:012}")
    assert len(console(server)) <= 3000 + 500


@pytest.mark.parametrize("said", [b"", b"GET /v1/server HTTP/1.1\r\nHost: "])
def test_silent_sockets_keep_nobody_out(start_server, said):
    server = limited(start_server, 1024)
    with silent_connections(server, SILENT, said):
        slowest, until = 0.0, time.monotonic() + 4
        cpu = cpu_seconds(server.process.pid)
        while time.monotonic() < until:
            begin = time.monotonic()
            assert ask(server, Authorization=f"Bearer {server.token}").status_code == 200
            slowest = max(slowest, time.monotonic() - begin)
            time.sleep(0.2)
        assert slowest < 2.0
        assert cpu_seconds(server.process.pid) - cpu < 2.0
    assert len(console(server)) < 20_000


def test_fewer_files_than_expected_are_no_flood(start_server):
    server = limited(start_server, 1024)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (64, 64))
    with silent_connections(server, 200):
        time.sleep(3)
        size = len(console(server))
        assert size < 20_000
    assert ask(server, Authorization=f"Bearer {server.token}").status_code == 200


def test_a_head_that_never_ends_is_hung_up_on(start_server):
    """A byte now and then does not prolong it."""
    server = start_server()
    with socket.create_connection(address(server), timeout=5) as connection:
        begin = time.monotonic()
        connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        with contextlib.suppress(OSError):
            while time.monotonic() - begin < 20:
                connection.settimeout(1)
                try:
                    if connection.recv(1) == b"":
                        break
                except TimeoutError:
                    connection.sendall(b"y")
        assert connections.HEAD_WAIT - 1 < time.monotonic() - begin < connections.HEAD_WAIT + 4


def test_a_reader_that_does_not_read_and_a_sender_that_does_not_send_are_hung_up_on(start_server):
    """Both with a token, with the waits of this test."""
    server = start_server(env={"TEST_READ_WAIT": "1", "TEST_BODY_WAIT": "1"})
    job = server.submit(frames=1)
    server.wait_for(job, "done")
    (server.data / "jobs" / job / "frames" / "000000.png").write_bytes(bytes(16 * 2**20))  # more than sockets hold
    head = f"Host: {server.url[7:]}\r\nAuthorization: Bearer {server.token}\r\n"
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        before = sockets_of(server)
        slow.connect(address(server))
        slow.sendall(f"GET /v1/jobs/{job}/frames HTTP/1.1\r\n{head}\r\n".encode())
        wait_until(lambda: sockets_of(server) == before + 1, 5)
        wait_until(lambda: sockets_of(server) == before, 5)
    with socket.create_connection(address(server), timeout=8) as slow:
        slow.sendall(f"PUT /v1/blobs/{'a' * 64} HTTP/1.1\r\n{head}Content-Length: 1000\r\n\r\nabc".encode())
        begin = time.monotonic()
        with contextlib.suppress(ConnectionResetError):
            while slow.recv(1000):
                pass
        assert 0.9 < time.monotonic() - begin < 4
    assert list((server.data / "incoming").iterdir()) == []


def test_what_comes_after_a_body_that_is_too_long_is_not_read(start_server):
    server = start_server()
    head = f"Host: {server.url[7:]}\r\nAuthorization: Bearer {server.token}\r\nTransfer-Encoding: chunked\r\n"
    piece = b"100000\r\n" + b"{" * 2**20 + b"\r\n"
    with socket.create_connection(address(server), timeout=10) as endless:
        endless.sendall(f"PUT /v1/jobs/{'0' * 32} HTTP/1.1\r\n{head}Content-Type: application/json\r\n\r\n".encode())
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            endless.sendall(piece * 60)


def test_wrong_tokens_are_throttled_and_the_right_one_is_not(start_server):
    server = start_server()
    begin = time.monotonic()
    for _ in range(throttle.FREE):
        assert ask(server, Authorization="Bearer wrong").status_code == 401
    assert time.monotonic() - begin < 5
    begin = time.monotonic()
    with contextlib.ExitStack() as opened:
        guesses = [opened.enter_context(socket.create_connection(address(server), timeout=60)) for _ in range(100)]
        for n, guess in enumerate(guesses):
            head = f"Host: {server.url[7:]}\r\nAuthorization: Bearer {n}\r\n"
            guess.sendall(f"GET /v1/server HTTP/1.1\r\n{head}\r\n".encode())
        codes = [int(guess.recv(1000).split(b" ")[1]) for guess in guesses]
    taken = time.monotonic() - begin
    assert set(codes) == {401, 429}
    assert codes.count(401) <= throttle.HELD * (taken / throttle.DELAY + 1)
    begin = time.monotonic()
    assert ask(server, Authorization="Bearer wrong").status_code == 401
    assert time.monotonic() - begin >= throttle.DELAY
    begin = time.monotonic()
    assert ask(server, Authorization=f"Bearer {server.token}").status_code == 200
    assert time.monotonic() - begin < throttle.DELAY / 2


@pytest.mark.parametrize("token", ["short", "x" * 40, "abcabcabcabcabcabc", "wörter und wörter 12345"])
def test_tokens_that_can_be_guessed_start_no_server(start_server, tmp_path, token):
    with pytest.raises(AssertionError, match=r"can be guessed. Use at least 16"):
        start_server(data=tmp_path, env={security.TOKEN_VARIABLE: token})


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def sockets_of(server) -> int:
    files = Path(f"/proc/{server.process.pid}/fd")
    found = 0
    for file in files.iterdir():
        with contextlib.suppress(OSError):
            found += os.readlink(file).startswith("socket:")
    return found


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
