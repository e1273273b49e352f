"""Advice for machines that this one is not."""

import json
import os
import socket

import pytest

from inference_server.api import doctor
from inference_server.api.doctor import check_device, check_folder, check_port
from inference_server.cli import main
from inference_server.errors import UserError
from inference_server.jobs.folder import DataFolder

GIB = 2**30


def device(kind: str, total: int = 24 * GIB) -> dict:
    return {"kind": kind, "name": "Card", "memory_total": total, "memory_free": total, "torch": "2.13.0+x"}


def levels(findings) -> list[tuple[str, str]]:
    return [(finding.level, finding.about) for finding in findings]


def test_a_gpu_that_torch_does_not_see_is_a_problem_with_a_way_out():
    (finding,) = check_device(lambda: device("cpu"), lambda: "555.42")
    assert finding.level == "problem"
    assert "555.42" in finding.text
    assert "CUDA build" in finding.advice


def test_other_machines():
    assert levels(check_device(lambda: device("cpu"), lambda: None)) == [("warning", "device")]
    assert levels(check_device(lambda: device("cuda"), lambda: "1")) == [("ok", "device")]
    small = check_device(lambda: device("cuda", 4 * GIB), lambda: "1")
    assert levels(small) == [("ok", "device"), ("warning", "device memory")]

    def broken():
        raise UserError("PyTorch cannot be used: no libcudart", fix="Install it again.", code="torch-broken")

    assert levels(check_device(broken, lambda: None)) == [("problem", "device")]


def test_a_port_that_is_taken_is_told_from_a_server_that_runs(server, tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert check_port(DataFolder(tmp_path), other.getsockname()[1]).level == "warning"
    assert "runs with this data folder" in check_port(DataFolder(server.data), 1).text
    assert server.http.get("/v1/server").status_code == 200


@pytest.mark.skipif(os.name != "posix", reason="modes")
def test_a_token_that_others_can_read_is_told(tmp_path):
    folder = DataFolder(tmp_path)
    folder.create()
    folder.token.write_text("x" * 40)
    folder.token.chmod(0o644)
    assert ("warning", "token") in levels(check_folder(folder))


def test_the_command_prints_findings(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "describe_device", lambda: device("cuda"))
    assert main(["doctor", "--data-dir", str(tmp_path), "--port", "1", "--json"]) == 0
    findings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    about = [finding["about"] for finding in findings]
    assert about == ["Python", "device", "disk", "signing key", "weights magicanimate", "weights demo", "port"]
    monkeypatch.setattr(doctor, "PACKAGES", ("no_such_package",))
    assert main(["doctor", "--data-dir", str(tmp_path), "--port", "1"]) == 1
    assert "-> Install the server again" in capsys.readouterr().out
