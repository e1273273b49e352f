"""Tests are cut off from the network, and one that asks it all the same fails: here each kind of asking does."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CUT_OFF = [sys.executable, "tools/without_network.py"]
HERE = {"cwd": ROOT, "capture_output": True, "text": True}
ASK = {
    "an address": "socket.create_connection(('192.0.2.1', 80))",
    "an address of IPv6": "socket.create_connection(('2001:db8::1', 80))",
    "a datagram": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('192.0.2.1', 80))",
    "a process of its own": "subprocess.run([sys.executable, '-c', 'import socket; "
    'socket.create_connection(("192.0.2.1", 80))\'], stderr=subprocess.DEVNULL)',
}


@pytest.fixture(scope="module", autouse=True)
def _allowed() -> None:
    done = subprocess.run([*CUT_OFF, "true"], **HERE)
    if done.returncode:
        pytest.skip(done.stderr.strip())


def outcome(folder: Path, statement: str) -> subprocess.CompletedProcess[str]:
    """How pytest ends with one test that does this and minds no error."""
    test = folder / "test_asking.py"
    lines = ["import contextlib, socket, subprocess, sys", "from tests.network import nothing_asked_of_the_network"]
    lines += ["def test_asking():", "    with contextlib.suppress(OSError):", f"        {statement}"]
    test.write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(folder), str(test)]
    return subprocess.run([*CUT_OFF, *command], **HERE)


@pytest.mark.parametrize("way", ASK)
def test_a_test_that_asks_the_network_fails_though_it_minds_no_error(tmp_path: Path, way: str) -> None:
    done = outcome(tmp_path, ASK[way])
    assert "1 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "tried to reach another machine" in done.stdout


def test_this_machine_itself_may_be_asked(tmp_path: Path) -> None:
    done = outcome(tmp_path, "assert socket.create_connection(socket.create_server(('127.0.0.1', 0)).getsockname())")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_command_and_its_status_are_passed_on() -> None:
    done = subprocess.run([*CUT_OFF, sys.executable, "-c", "import sys; print('in'); sys.exit(7)"], **HERE)
    assert (done.returncode, done.stdout) == (7, "in\n")
