"""Lines as pip, PyTorch and the system write them, and what they are to advise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicanimate_blender.server_manager import advise
from magicanimate_blender.server_manager.advice import RULES

LINES = [
    ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk-full"),
    ("sqlite3.OperationalError: database or disk is full", "disk-full"),
    ("OSError: [WinError 112] There is not enough space on the disk", "disk-full"),
    ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", "out-of-memory"),
    ("RuntimeError: MPS backend out of memory (MPS allocated: 9.0 GB)", "out-of-memory"),
    ("RuntimeError: Found no NVIDIA driver on your system.", "no-driver"),
    (
        "UserWarning: CUDA initialization: The NVIDIA driver on your system is too old",
        "no-driver",
    ),
    ("OSError: libcuda.so.1: cannot open shared object file: No such file or directory", "no-driver"),
    ("torch.AcceleratorError: CUDA error: no kernel image is available for execution on the device", "unsupported-gpu"),
    ("AssertionError: Torch not compiled with CUDA enabled", "wrong-build"),
    ("[Errno 98] error while attempting to bind on address ('127.0.0.1', 8790): address already in use", "port-taken"),
    ("[WinError 10048] Only one usage of each socket address is normally permitted", "port-taken"),
    ("error: A server (process 7) already uses the data folder /d. Use that one, stop it.", "data-folder-in-use"),
    ("error: The weights of MagicAnimate are not installed. Download them.", "weights-missing"),
    ("ERROR: Package 'x' requires a different Python: 3.10.1 not in '>=3.11'", "wrong-python"),
    ("ERROR: No matching distribution found for torch==2.13.0+cpu", "wrong-python"),
    ("ERROR: x.whl is not a supported wheel on this platform.", "wrong-python"),
    ("/usr/bin/python3: No module named venv", "no-venv"),
    ("The virtual environment was not created successfully because ensurepip is not available.", "no-venv"),
    ("ModuleNotFoundError: No module named 'inference_server'", "broken-installation"),
    (
        "NewConnectionError('<x>: Failed to establish a new connection: [Errno -2]')",
        "no-network",
    ),
    ("pip._vendor.urllib3.exceptions.ReadTimeoutError: Read timed out.", "no-network"),
    ("SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed')", "no-trust"),
    ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "damaged-download"),
    ("zipfile.BadZipFile: Bad magic number for central directory", "damaged-download"),
    ("PermissionError: [Errno 13] Permission denied: '/opt/server'", "no-permission"),
    ("OSError: [WinError 5] Access is denied: 'C:\\\\x'", "no-permission"),
]


@pytest.mark.parametrize(("line", "code"), LINES)
def test_a_known_line_has_its_advice(line, code):
    advice = advise(["Collecting torch", line, "  more text"])
    assert advice is not None
    assert advice.code == code
    assert not advice.detail.endswith(".")
    assert advice.fix.endswith(".")


def test_every_rule_is_met_by_a_line_above():
    assert {rule.advice.code for rule in RULES} == {code for _, code in LINES}


@pytest.mark.parametrize(
    "line",
    [
        "INFO 127.0.0.1:40212 GET /v1/server 200",
        "Successfully installed torch-2.13.0 numpy-2.4.1",
        "Uvicorn running on http://127.0.0.1:8790",
        "memory: 5.2 of 8.0 GB free",
        "job 98 done in 13.2 s",
    ],
)
def test_ordinary_lines_have_none(line):
    assert advise([line]) is None


def test_a_cause_wins_over_what_follows_from_it():
    lines = [
        "WARNING: Retrying after connection broken by NewConnectionError: Failed to establish a new connection",
        "ERROR: No matching distribution found for torch",
    ]
    assert (advise(lines) or RULES[0].advice).code == "no-network"


@given(st.lists(st.text()))
def test_any_text_is_read(lines):
    advise(lines)
