"""Python processes of ours: what they print arrives while they run, whatever the system's encoding."""

import subprocess
import sys
import time

import pytest

from magicanimate_blender.server_manager.processes import end, python_command, spawn

PRINT_AND_WAIT = "import sys, time; print('Zoë 東京', sys.flags.utf8_mode, sys.flags.isolated); time.sleep(60)"


@pytest.fixture
def other_encoding(monkeypatch):
    """As on Windows, where a file or pipe is not written as UTF-8 unless Python is told to; C would be UTF-8."""
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("PYTHONUTF8", "0")
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")


def test_a_log_is_utf8_and_never_late(other_encoding, tmp_path):
    log = tmp_path / "log"
    with log.open("wb") as stdout:
        process = spawn(python_command(sys.executable, "-c", PRINT_AND_WAIT), stdout=stdout)
    try:
        until = time.monotonic() + 20
        while not log.read_bytes().endswith(b"\n") and time.monotonic() < until:
            time.sleep(0.05)
        assert process.poll() is None
        assert log.read_bytes().decode().split() == ["Zoë", "東京", "1", "1"]
    finally:
        end(process)


def test_a_process_that_is_asked_answers_in_utf8(other_encoding):
    code = "import sys; print('Zoë', sys.flags.utf8_mode)"
    done = subprocess.run(python_command(sys.executable, "-c", code), capture_output=True, check=True)
    assert done.stdout.decode().split() == ["Zoë", "1"]
