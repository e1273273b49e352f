"""Pictures made to keep the server busy, and files that are broken in ways that only decoding would show."""

import hashlib
import io
import json
import struct
import threading
import time
import uuid
import zlib
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from inference_server.media.structure import MAX_DATA_CHUNKS, MAX_OTHER_CHUNKS, MAX_SCANS, structure_problem

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def picture(kind: str = "PNG", size: tuple[int, int] = (64, 64), **options: object) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def tiny_chunks(count: int, kind: bytes = b"prIv") -> bytes:
    """A good picture of 64 x 64 but for its `count` chunks of no bytes before the end."""
    whole = picture()
    return whole[:-12] + chunk(kind) * count + whole[-12:]


def upload(server, data: bytes) -> httpx.Response:
    return server.http.put(f"/v1/blobs/{hashlib.sha256(data).hexdigest()}", content=data, timeout=60)


def memory_peak(server) -> int:
    """Bytes of resident memory, the most since the start."""
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) * 1024


def slowest_poll(server, until: threading.Event) -> float:
    slowest = 0.0
    with httpx.Client(base_url=server.url, headers=server.http.headers, timeout=60, trust_env=False) as http:
        while not until.is_set():
            begin = time.monotonic()
            assert http.get("/v1/server").status_code == 200
            slowest = max(slowest, time.monotonic() - begin)
            time.sleep(0.02)
    return slowest


def while_polling(server, work) -> float:
    done, result = threading.Event(), []
    thread = threading.Thread(target=lambda: result.append(slowest_poll(server, done)))
    thread.start()
    try:
        work()
    finally:
        done.set()
        thread.join()
    return result[0]


def test_sixty_megabytes_of_tiny_chunks_freeze_nothing(start_server):
    server = start_server()
    before, data = memory_peak(server), tiny_chunks(5_000_000)
    answers: list[httpx.Response] = []
    begin = time.monotonic()
    slowest = while_polling(server, lambda: answers.append(upload(server, data)))
    assert (answers[0].status_code, answers[0].json()["code"]) == (422, "picture-unreadable")
    assert "too many chunks" in answers[0].json()["detail"]
    assert slowest < 3
    assert time.monotonic() - begin < 20
    assert memory_peak(server) - before < 300 * 2**20


@pytest.mark.slow
def test_twenty_jobs_with_a_bad_large_map_take_no_gigabytes_and_freeze_nothing(start_server):
    server = start_server()
    noise = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG", compress_level=1)
    body = server.body(frames=1, size=1024, tracks={"densepose": [server.put_blob(buffer.getvalue())]})
    before, codes = memory_peak(server), []

    def send() -> None:
        answer = httpx.put(
            f"{server.url}/v1/jobs/{uuid.uuid4()}", json=body, headers=server.http.headers, timeout=400, trust_env=False
        )
        codes.append(answer.json()["code"])

    def send_all() -> None:
        threads = [threading.Thread(target=send) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    slowest = while_polling(server, send_all)
    assert codes == ["map-off-palette"] * 20
    assert memory_peak(server) - before < 400 * 2**20  # 20 at once take 1.4 GB
    assert slowest < 5


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (picture()[:-500], "cut off"),
        (picture("JPEG")[:-200], "cut off"),
        (picture("WEBP")[:-200], "cut off"),
        (picture("JPEG")[:30], "cut off"),
        (SIGNATURE + b"\xff" * 40, "cut off"),
        (tiny_chunks(MAX_OTHER_CHUNKS + 1), "too many chunks"),
        (tiny_chunks(MAX_DATA_CHUNKS + 1, b"IDAT"), "too many chunks"),
        (b"\xff\xd8" + b"\xff\xe0\0\2" * 2000 + picture("JPEG")[2:], "too many markers"),
        (picture("JPEG", progressive=True)[:-2] + b"\xff\xda\0\2" * (MAX_SCANS + 1) + b"\xff\xd9", "too many scans"),
    ],
)
def test_broken_files_are_refused_when_they_come(server, data, words):
    answer = upload(server, data)
    assert (answer.status_code, answer.json()["code"]) == (422, "picture-unreadable"), answer.text
    assert words in answer.json()["detail"]
    assert list((server.data / "incoming").iterdir()) == []


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 100, "optimize": True}])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_good_files_have_no_problem(kind, options):
    assert structure_problem(picture(kind, (512, 768), **(options if kind == "JPEG" else {}))) is None


def test_a_large_animated_webp_has_no_problem():
    frames = [Image.new("RGB", (64, 64), (n, 0, 0)) for n in range(40)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
    assert structure_problem(buffer.getvalue()) is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_on_its_side_has_the_size_of_the_upright_one(server, kind):
    """A camera held upright: 96 x 64 stored, 64 x 96 seen."""
    exif = Image.Exif()
    exif[0x0112] = 6
    reference = server.put_blob(picture(kind, (96, 64), exif=exif))
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((96, 64), np.uint8)).save(buffer, "PNG")
    tracks = {"densepose": [server.put_blob(buffer.getvalue())]}
    job = server.submit(frames=1, reference=reference, tracks=tracks)
    assert server.wait_for(job, "done")["result"]["height"] == 96


def test_a_reference_whose_pixels_are_damaged_is_refused_with_the_job(server):
    data = bytearray(picture())
    data[200:220] = bytes(20)
    answer = server.http.put(
        f"/v1/jobs/{uuid.uuid4()}", json=server.body(frames=1, reference=server.put_blob(bytes(data)))
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "picture-unreadable")


# what is no picture but a request


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"consent": "yes"}, "consent"),
        ({"consent": 1}, "consent"),
        ({"fps": 1e-320}, "fps"),
        ({"fps": 0.001}, "fps"),
    ],
)
def test_values_that_only_look_right_are_refused(server, change, field):
    answer = server.http.put(f"/v1/jobs/{uuid.uuid4()}", json=server.body(frames=1, **change))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert field in answer.json()["detail"]


def test_a_pause_is_yes_or_no(server):
    for value in (0, 1, "no"):
        assert server.http.patch("/v1/queue", json={"paused": value}).status_code == 422
    job = server.submit(frames=1)
    assert server.http.post(f"/v1/jobs/{job}/pin", json={"pinned": 1}).status_code == 422


def test_a_name_that_stands_twice_is_refused(server):
    text = json.dumps(server.body(frames=1, consent=False))
    text = text[:-1] + ', "consent": true}'
    headers = {"Content-Type": "application/json"}
    answer = server.http.put(f"/v1/jobs/{uuid.uuid4()}", content=text, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert "consent: is given twice" in answer.json()["detail"]
    nested = json.dumps(server.body(frames=1)).replace('"settings": {}', '"settings": {"seed": 1, "seed": 2}')
    assert "seed" in server.http.put(f"/v1/jobs/{uuid.uuid4()}", content=nested, headers=headers).json()["detail"]


def test_what_is_no_full_disk_is_not_told_as_one():
    import errno
    import sqlite3

    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from inference_server.api import problems

    app = FastAPI()
    problems.install(app)

    @app.get("/{number}")
    def fail(number: int) -> None:
        if number == 0:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        raise OSError(number, "injected")

    wanted = {
        errno.ENOSPC: (507, "disk-full"),
        errno.EMFILE: (503, "too-many-files"),
        errno.EACCES: (500, "no-permission"),
        errno.EROFS: (500, "no-permission"),
        errno.EIO: (500, "file-error"),
        0: (503, "store-unavailable"),
    }
    client = TestClient(app, raise_server_exceptions=False)
    told = {number: client.get(f"/{number}") for number in wanted}
    assert {n: (answer.status_code, answer.json()["code"]) for n, answer in told.items()} == wanted
