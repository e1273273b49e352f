"""What is wrong with a request is told at once, with the way out."""

import hashlib
import io
import json
import socket
import uuid
import zlib

import httpx
import numpy as np
import pytest
from PIL import Image


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def submit(server, **changes) -> httpx.Response:
    return server.http.put(f"/v1/jobs/{uuid.uuid4()}", json=server.body(frames=2, **changes))


def refused(answer: httpx.Response, status: int, code: str, *words: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.json()["fix"]
    for word in words:
        assert word in answer.text


def upload(server, data: bytes) -> httpx.Response:
    return server.http.put(f"/v1/blobs/{hashlib.sha256(data).hexdigest()}", content=data)


def test_consent_is_needed(server):
    refused(submit(server, consent=False), 422, "consent-required", "right to use")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"engine": "other"}, 422, "unknown-engine"),
        ({"weights": "other"}, 404, "unknown-weights"),
        ({"engine": "magicanimate", "weights": "magicanimate"}, 409, "weights-missing"),
        ({"settings": {"steps": "many"}}, 422, "invalid-settings"),
        ({"settings": {"stepps": 5}}, 422, "invalid-settings"),
        ({"reference": "ab" * 32}, 409, "blob-missing"),
        ({"redo": [2]}, 422, "no-such-frame"),
        ({"keep": [99]}, 422, "no-such-frame"),
        ({"tracks": {}}, 422, "invalid-request"),
        ({"tracks": {"densepose": []}}, 422, "invalid-request"),
        ({"fps": 0}, 422, "invalid-request"),
        ({"surprise": 1}, 422, "invalid-request"),
        ({"reference": "../../etc/passwd"}, 422, "invalid-request"),
        ({"engine": "../engine"}, 422, "invalid-request"),
        ({"name": "x" * 300}, 422, "invalid-request"),
    ],
)
def test_what_is_wrong_is_named(server, changes, status, code):
    refused(submit(server, **changes), status, code)


def test_tracks_must_be_those_of_the_engine(server):
    body = server.body(frames=2)
    maps = body["tracks"]["densepose"]
    for tracks in ({"depth": maps}, {"densepose": maps, "depth": maps}):
        refused(server.http.put(f"/v1/jobs/{uuid.uuid4()}", json={**body, "tracks": tracks}), 422, "wrong-tracks")
    uneven = {"densepose": maps, "depth": maps[:1]}
    refused(server.http.put(f"/v1/jobs/{uuid.uuid4()}", json={**body, "tracks": uneven}), 422, "invalid-request")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("place", ["fps", "settings"])
def test_numbers_that_are_none(server, number, place):
    body = server.body(frames=1, fps=777 if place == "fps" else 24, settings={"step_seconds": 777.0})
    text = json.dumps(body).replace("777.0" if place == "settings" else "777", number)
    answer = server.http.put(f"/v1/jobs/{uuid.uuid4()}", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text


def test_a_map_with_another_palette_is_refused_and_told_the_colours(server):
    labels = np.zeros((64, 64), np.uint8)
    labels[10:50, 10:50] = np.arange(40) % 25
    rainbow = np.stack([labels * 10, 255 - labels * 10, labels * 5], axis=-1)
    job = submit(server, tracks={"densepose": [server.put_blob(png(rainbow))]})
    refused(job, 422, "map-off-palette", "VIRIDIS", "(68, 1, 84)", "frame 0")


def test_a_label_above_24_is_refused(server):
    labels = np.full((64, 64), 25, np.uint8)
    refused(submit(server, tracks={"densepose": [server.put_blob(png(labels))]}), 422, "label-out-of-range", "25")


def test_sizes_must_fit(server):
    odd = server.put_blob(png(np.zeros((70, 64, 3), np.uint8)))
    refused(submit(server, reference=odd), 422, "bad-size", "64 x 70")
    other = server.put_blob(png(np.zeros((80, 64, 3), np.uint8)))
    refused(submit(server, reference=other), 422, "size-mismatch", "64 x 80")


def test_uploads_are_pictures_within_limits(server):
    refused(upload(server, b"MZ not a picture"), 422, "picture-unreadable")
    refused(upload(server, b""), 422, "picture-unreadable")

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    size = (32_000).to_bytes(4, "big") * 2
    rows = zlib.compress(bytes(4000 * 32_000), 9)
    header = chunk(b"IHDR", size + bytes([1, 0, 0, 0, 0]))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    assert len(bomb) < 150_000
    refused(upload(server, bomb), 422, "picture-too-large")
    assert list((server.data / "incoming").iterdir()) == []


def test_uploads_are_checked_against_their_hash(server):
    data = png(np.full((8, 8, 3), 9, np.uint8))
    refused(server.http.put(f"/v1/blobs/{'0' * 64}", content=data), 422, "hash-mismatch")
    assert upload(server, data).status_code == 201
    assert upload(server, data).status_code == 200
    assert server.http.head(f"/v1/blobs/{hashlib.sha256(data).hexdigest()}").status_code == 200


@pytest.mark.parametrize("path", [f"/v1/blobs/{'0' * 64}", f"/v1/jobs/{uuid.uuid4()}"])
def test_bodies_are_bounded_whether_they_tell_their_length_or_not(server, path):
    limit = 64 * 2**20 if "blobs" in path else 4 * 2**20

    def endless():
        for _ in range(limit // 2**20 + 8):
            yield b"{" * 2**20

    headers = {"Content-Type": "application/json"}
    try:
        answer = server.http.put(path, content=endless(), headers=headers)
    except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        pass  # the server hung up before all was sent
    else:
        refused(answer, 413, "upload-too-large")
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"PUT {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {server.token}\r\n"
        connection.sendall(f"{head}Content-Length: {limit + 1}\r\n\r\n{{".encode())
        assert connection.recv(1000).split(b" ")[1] == b"413"


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '"text"', "null", "\xff\xfe"])
def test_what_is_no_job_is_refused(server, text):
    headers = {"Content-Type": "application/json"}
    content = text.encode("latin-1")
    answer = server.http.put(f"/v1/jobs/{uuid.uuid4()}", content=content, headers=headers)
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_input_that_went_bad_on_disk_fails_the_job_not_the_server(server):
    server.http.patch("/v1/queue", json={"paused": True})
    job = server.submit(frames=1, size=32)
    digest = server.job(job)["body"]["reference"]
    (server.data / "blobs" / digest[:2] / digest).write_bytes(b"rot")
    server.http.patch("/v1/queue", json={"paused": False})
    assert server.wait_for(job, "failed")["problem"]["code"] == "blob-damaged"
