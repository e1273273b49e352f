"""Python in a process of its own: what may crash, hog memory or be killed does not run inside the server."""

import os
import sys
from pathlib import Path

import inference_server


def python_command(module: str, *arguments: str) -> list[str]:
    """`python -m module` with this interpreter, isolated from the user's environment if this process is.

    Its output arrives at once and as UTF-8. An isolated Python reads no PYTHON... variables, so options say it.
    """
    isolated = ["-I"] if sys.flags.isolated else []
    return [sys.executable, *isolated, "-u", "-X", "utf8", "-m", module, *arguments]


def python_environment() -> dict[str, str]:
    """This process's environment, in which the child finds this very package wherever it is started."""
    root = str(Path(inference_server.__file__).parent.parent)
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
