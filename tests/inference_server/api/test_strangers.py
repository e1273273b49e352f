"""Who must not get in: web pages, other names, no token; and what no client's words may reach: the file system."""

import os
import socket
import stat
import sys
import uuid

import httpx
import pytest

from inference_server.api.security import load_token
from inference_server.errors import UserError
from inference_server.jobs.folder import DataFolder


def bare(server, **headers: str) -> httpx.Response:
    return httpx.get(f"{server.url}/v1/server", headers=headers, trust_env=False)


def authorised(server) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.token}"}


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_without_the_right_token_nothing_is_told(server):
    refused(bare(server), 401, "wrong-token")
    for wrong in ("", "Bearer", f"Bearer {server.token}x", f"Bearer {server.token[:-1]}", server.token):
        refused(bare(server, Authorization=wrong), 401, "wrong-token")
    refused(bare(server, Authorization=f"bearer {server.token}"), 401, "wrong-token")
    for path in ("/v1/openapi.json", "/docs", "/v1/jobs", "/", "/v1/nothing"):
        refused(httpx.get(server.url + path, trust_env=False), 401, "wrong-token")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.168.1.5:8790", "[::2]", "", "a]:1"])
def test_a_foreign_host_is_refused_even_with_the_token(server, host):
    refused(bare(server, **authorised(server), Host=host), 403, "host-refused")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1234", "127.0.0.1", "[::1]:99"])
def test_names_of_this_machine_are_its_own(server, host):
    assert bare(server, **authorised(server), Host=host).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:8790", ""])
def test_any_origin_is_refused(server, origin):
    refused(bare(server, **authorised(server), Origin=origin), 403, "origin-refused")
    preflight = httpx.options(f"{server.url}/v1/jobs", headers={"Origin": origin}, trust_env=False)
    refused(preflight, 403, "origin-refused")
    assert not [name for name in preflight.headers if name.startswith("access-control")]


def test_no_web_sockets(server):
    answer = bare(server, Connection="Upgrade", Upgrade="websocket")
    assert answer.status_code == 401


def raw(server, path: str) -> bytes:
    """The status line for a path that no client library would send."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {server.token}\r\n"
        connection.sendall(f"{request}Connection: close\r\n\r\n".encode("latin-1"))
        return connection.recv(100_000)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/jobs/../../token",
        "/v1/jobs/..%2f..%2ftoken",
        "/v1/jobs/%2e%2e/token",
        "/v1/jobs/{job}/frames/..%2f..%2f..%2ftoken.png",
        "/v1/jobs/{job}/frames/%2e%2e%2f%2e%2e%2ftoken",
        "/v1/jobs/{job}/../../token",
        "/v1/jobs/{job}/result.json",
        "/v1/jobs//etc/passwd/frames/0.png",
        "/v1/jobs/%2fetc%2fpasswd/video.mp4",
        "/v1/jobs/{job}%00/video.mp4",
        "/v1/blobs/../token",
        "/v1/blobs/..%2ftoken",
        "//token",
        "/token",
        "/v1/weights/..%2f..",
    ],
)
def test_paths_reach_no_file(server, job, path):
    answer = raw(server, path.format(job=job))
    assert answer.split(b" ")[1] in (b"404", b"422", b"405")
    assert server.token.encode() not in answer
    assert b"root:" not in answer


@pytest.fixture(scope="module")
def job(server) -> str:
    name = server.submit(frames=2)
    server.wait_for(name, "done")
    return name


@pytest.mark.parametrize("name", ["frames/000001.png", "video.mp4", "recipe.json", "preview.png"])
def test_links_in_the_data_folder_lead_nowhere(server, job, name):
    path = server.data / "jobs" / job / name
    path.unlink()
    path.symlink_to("/etc/passwd")
    address = f"/v1/jobs/{job}/" + name.replace("000001", "1")
    assert server.http.get(address).status_code == 404
    assert b"root:" not in server.http.get(f"/v1/jobs/{job}/frames").content


def test_a_linked_job_folder_leads_nowhere(server, tmp_path):
    name = server.submit(frames=1)
    server.wait_for(name, "done")
    folder = server.data / "jobs" / name
    os.rename(folder, tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert server.http.get(f"/v1/jobs/{name}/frames/0.png").status_code == 404
    assert server.http.delete(f"/v1/jobs/{name}").status_code == 204
    assert (tmp_path / "elsewhere" / "frames" / "000000.png").exists()
    assert not folder.is_symlink()


def test_ids_are_uuids_and_hashes_nothing_else(server):
    body = server.body(frames=1)
    for name in ("x", "..", f"{uuid.uuid4()}.", "0" * 31):
        assert server.http.put(f"/v1/jobs/{name}", json=body).status_code in (404, 405, 422)
    for digest in ("AB" * 32, "ab" * 31, "zz" * 32, "ab" * 33):
        assert server.http.put(f"/v1/blobs/{digest}", content=b"x").status_code == 422


def test_the_token_is_made_for_this_user_alone(server):
    for name in ("token", "identity/key.pem"):
        path = server.data / name
        if path.exists():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((server.data / "jobs").stat().st_mode) == 0o700
    assert len(server.token) >= 40


def test_a_token_that_can_be_guessed_is_refused(tmp_path, monkeypatch):
    folder = DataFolder(tmp_path)
    folder.token.write_text("secret")
    with pytest.raises(UserError) as caught:
        load_token(folder)
    assert caught.value.code == "weak-token"
    assert stat.S_IMODE(folder.token.stat().st_mode) == 0o600
    monkeypatch.setenv("MAGICANIMATE_TOKEN", "0123456789abcdefghij")
    assert load_token(folder) == "0123456789abcdefghij"


def test_a_token_file_of_the_users_own_is_only_read(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdefghij\n")
    secret.chmod(0o444)
    folder = DataFolder(tmp_path / "data")
    folder.create()
    assert load_token(folder, secret) == "0123456789abcdefghij"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o444


@pytest.mark.skipif(sys.platform != "linux", reason="only there is all of 127.0.0.0/8 this machine")
def test_the_address_it_listens_on_is_one_of_its_names(start_server):
    server = start_server("--host", "127.0.0.2")
    assert server.url.startswith("http://127.0.0.2:")
    assert server.http.get("/v1/server").status_code == 200
    server.stop()


@pytest.mark.parametrize("port", ["80000", "-1", "http"])
def test_a_port_that_is_none_is_told(start_server, tmp_path, port):
    with pytest.raises(AssertionError, match="is no port: give a number from 0 to 65535"):
        start_server("--port", port, data=tmp_path)


def test_other_addresses_need_a_flag_and_are_announced(start_server, tmp_path):
    with pytest.raises(AssertionError, match="allow-remote"):
        start_server("--host", "0.0.0.0", data=tmp_path / "a")
    with pytest.raises(AssertionError, match=r"without encryption\. Give --tls-cert .* or add --insecure"):
        start_server("--host", "0.0.0.0", "--allow-remote", data=tmp_path / "a")
    open_server = start_server(
        "--host", "0.0.0.0", "--allow-remote", "--insecure", "--allow-host", "farm", data=tmp_path / "b"
    )
    console = (tmp_path / "b" / "console.log").read_text()
    assert "WARNING" in console
    assert "token" in console
    port = open_server.url.rpartition(":")[2]
    open_server.url = f"http://127.0.0.1:{port}"
    refused(bare(open_server), 401, "wrong-token")
    for host, status in (("farm", 200), ("192.168.1.5:8790", 200), ("evil.example", 403)):
        assert bare(open_server, **authorised(open_server), Host=host).status_code == status
    open_server.stop()


def test_a_data_folder_has_one_server(server, start_server):
    told = (server.data / "server.json").read_text()
    with pytest.raises(AssertionError, match="already uses the data folder"):
        start_server(data=server.data)
    (server.data / "server.json").write_text(told)  # the test's own start took it away
    assert server.http.get("/v1/server").status_code == 200
