"""The server's own child processes, as an isolated server starts them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PARENT = f"""
import subprocess, sys
sys.path.insert(0, {str(ROOT)!r})
from inference_server.child import python_command
*options, dash_m, module = python_command("module")
print(dash_m, module, flush=True)
code = "import sys; print('Zoë', sys.flags.isolated, sys.flags.utf8_mode, sys.stdout.write_through)"
sys.exit(subprocess.run([*options, "-c", code]).returncode)
"""


def test_an_isolated_server_has_isolated_children_that_write_utf8_at_once() -> None:
    """Environment variables can't say it: isolated Pythons read none."""
    done = subprocess.run([sys.executable, "-I", "-c", PARENT], capture_output=True, check=True)
    assert done.stdout.decode().split() == ["-m", "module", "Zoë", "1", "1", "True"]
