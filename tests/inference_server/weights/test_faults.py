"""Tasks on weights whose parent is killed, which print what is no message, or meet files that cannot be used."""

import contextlib
import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inference_server.errors import UserError
from inference_server.weights.adopt import link_folder
from inference_server.weights.catalogue import find_entry
from inference_server.weights.library import WeightsLibrary
from tests.inference_server.conftest import wait_until

ENTRY = find_entry("magicanimate")
ROOT = Path(__file__).resolve().parents[3]


def tree_of(root: Path, size: int) -> Path:
    """Every file of the set, of so many bytes (which take no space), its text files of two."""
    tree = root / ENTRY.id
    for part in ENTRY.parts:
        path = tree / part.fetched
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(b"{}")
            if path.suffix != ".json":
                file.truncate(size)
    return tree


def run_python(code: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def test_a_task_ends_when_its_parent_is_killed(tmp_path):
    tree_of(tmp_path, 2**40)  # hashing it takes hours
    parent = run_python(
        "import sys, time; from pathlib import Path\n"
        "from inference_server.weights.library import WeightsLibrary\n"
        "task = WeightsLibrary(Path(sys.argv[1])).start('magicanimate', 'verify')\n"
        "while not task.done_bytes: time.sleep(0.05)\n"
        "print(task.process.pid, flush=True); time.sleep(1e6)",
        tmp_path,
    )
    child = int(parent.stdout.readline())
    os.kill(child, 0)
    parent.kill()
    parent.wait(10)

    def gone() -> bool:
        with contextlib.suppress(OSError):
            return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return True

    wait_until(gone, 10)


def test_a_line_that_is_no_message_does_not_hold_a_task_up(tmp_path, monkeypatch):
    """Libraries print to stdout: here as soon as Python starts."""
    (tmp_path / "sitecustomize.py").write_text("print('a library says hello'); print('[1]'); print('null')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    library = WeightsLibrary(tmp_path / "weights")
    task = library.start("magicanimate", "verify")
    wait_until(lambda: not library.is_busy("magicanimate"), 60)
    assert (task.state, task.problem["code"]) == ("failed", "weights-missing")
    library.close()


def test_a_huge_configuration_is_refused_at_once(tmp_path):
    tree = tree_of(tmp_path, 2)
    config = next(tree / part.fetched for part in ENTRY.parts if part.fetched.endswith("config.json"))
    with config.open("wb") as file:
        file.truncate(8 * 2**30)
    library = WeightsLibrary(tmp_path)
    task = library.start("magicanimate", "verify")
    wait_until(lambda: not library.is_busy("magicanimate"), 60)
    assert (task.state, task.problem["code"]) == ("failed", "weights-unreadable")
    assert str(config) in task.problem["detail"]
    library.close()


def test_a_huge_configuration_in_a_folder_to_add_is_not_read_whole(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "diffusion_pytorch_model.safetensors").write_bytes(b"x")
    with (source / "config.json").open("wb") as file:
        file.truncate(64 * 2**30)  # more than there is memory
    began = time.monotonic()
    with pytest.raises(UserError) as caught:
        link_folder(ENTRY, source, tmp_path / "tree")
    assert caught.value.code == "nothing-found"
    assert time.monotonic() - began < 10


TELL = (
    "import sys, json; from pathlib import Path\n"
    "from inference_server.errors import UserError\n"
    "from inference_server.weights.adopt import link_folder\n"
    "from inference_server.weights.catalogue import find_entry\n"
    "from inference_server.weights.library import WeightsLibrary\n"
    "try:\n    {}\n"
    "except UserError as error: print(json.dumps([error.code, error.message, error.fix]))"
)


def test_weights_that_a_worker_has_open_are_told_and_deleted_later(tmp_path, fault_library):
    tree, faults = tree_of(tmp_path, 2), tmp_path / "faults"
    faults.write_text(f"unlink {errno.EACCES} diffusion_pytorch_model\n")
    code = TELL.format("WeightsLibrary(Path(sys.argv[1])).delete('magicanimate')")
    said = run_python(code, tmp_path, LD_PRELOAD=str(fault_library), FAULTS=str(faults)).communicate(timeout=60)[0]
    found = json.loads(said)
    assert found[0] == "weights-in-use"
    assert "permission denied" in found[1]
    assert "Free Memory" in found[2]
    assert tree.exists()
    WeightsLibrary(tmp_path).delete("magicanimate")
    assert not tree.exists()


def test_weights_on_another_drive_that_cannot_be_linked_are_told(tmp_path, fault_library):
    source, faults = tree_of(tmp_path, 2), tmp_path / "faults"
    faults.write_text(f"symlink {errno.EPERM} magicanimate\nlink {errno.EXDEV} magicanimate\n")
    code = TELL.format("link_folder(find_entry('magicanimate'), Path(sys.argv[1]), Path(sys.argv[2]))")
    said = run_python(code, source, tmp_path / "tree", LD_PRELOAD=str(fault_library), FAULTS=str(faults))
    found = json.loads(said.communicate(timeout=60)[0])
    assert found[0] == "cannot-link"
    assert "cross-device" in found[1]
    assert "--data-dir" in found[2]
