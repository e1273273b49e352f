"""Virtual environments inside the checkout, each with what it needs pinned. Standard library, Python 3.9 and newer."""

from __future__ import annotations

import ctypes.util
import glob
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements.txt"
STAMP = "pins.sha256"

# Blender as a Python module: version -> the Python it is built for, the numpy that the Blender of that version carries
# (the module itself would take the newest), and a scipy that goes with it, for the tests.
BLENDERS = {
    "4.2.23": ("3.11", "numpy==1.24.4", "scipy==1.11.4"),
    "4.5.15": ("3.11", "numpy==1.26.4", "scipy==1.17.1"),
    "5.0.1": ("3.11", "numpy==1.26.4", "scipy==1.17.1"),
    "5.1.2": ("3.13", "numpy==2.5.5", "scipy==1.17.1"),
    "5.2.3": ("3.13", "numpy==2.5.5", "scipy==1.17.1"),
}

# Libraries that the bpy wheels link but do not carry -> the Debian and Ubuntu package of each.
SYSTEM_LIBRARIES = {
    "X11": "libx11-6",
    "Xrender": "libxrender1",
    "Xxf86vm": "libxxf86vm1",
    "Xfixes": "libxfixes3",
    "Xi": "libxi6",
    "xkbcommon": "libxkbcommon0",
    "SM": "libsm6",
    "ICE": "libice6",
    "GL": "libgl1",
    "EGL": "libegl1",
    "gomp": "libgomp1",
}


class SetupError(Exception):
    """Something that this machine lacks; the text says what, and the way out."""


@dataclass(frozen=True)
class Environment:
    """One virtual environment: where it is, its Python, and what pip installs into it."""

    folder: Path
    python_version: str
    pins: tuple[str, ...]
    server: bool = False
    """Whether the checkout's inference_server is installed too, editable, as a person who runs it has it."""

    @property
    def python(self) -> Path:
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def ensure(self) -> Path:
        """Make the environment, or bring it up to its pins. Returns its Python. Raises SetupError."""
        stamp = self.folder / STAMP
        wanted = hashlib.sha256("\n".join((self.python_version, str(self.server), *self.pins)).encode()).hexdigest()
        if stamp.is_file() and stamp.read_text() == wanted and python_version(self.python) == self.python_version:
            return self.python
        require_system_libraries()
        if python_version(self.python) != self.python_version:
            self._create()
        print(f"Installing what is pinned into {self.folder.name}", flush=True)
        self._pip(*self.pins)
        if self.server:
            self._pip("--no-deps", "--no-build-isolation", "--editable", ".")
        stamp.write_text(wanted)
        return self.python

    def _pip(self, *arguments: str) -> None:
        pip = [str(self.python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        if subprocess.run([*pip, *arguments], cwd=ROOT).returncode:
            raise SetupError(
                f"pip could not install the pinned packages into {self.folder.name}. "
                "Its reason stands above; check the network and the free disk space (about 4 GB), then run this again."
            )

    def _create(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        made_by = find_python(self.python_version)
        print(f"Making {self.folder.name} with {made_by}", flush=True)
        if subprocess.run([made_by, "-m", "venv", str(self.folder)]).returncode:
            raise SetupError(
                f"{made_by} could not make a virtual environment. "
                f"Install its venv module (Debian, Ubuntu: apt-get install python{self.python_version}-venv)."
            )


def full_environment() -> Environment:
    """`.venv`: the add-on, the server, their tests and tools, on Python 3.11."""
    return Environment(ROOT / ".venv", "3.11", tuple(pins("3.11")), server=True)


def blender_environment(blender: str) -> Environment:
    """`.venv-bpy-X.Y`: one Blender and what the add-on's own tests need; no torch."""
    version, *numerics = BLENDERS[blender]
    folder = ROOT / f".venv-bpy-{blender.rpartition('.')[0]}"
    return Environment(folder, version, (f"bpy=={blender}", *numerics, *pins("any")))


def pins(python: str) -> Iterator[str]:
    """The lines of requirements.txt without comments. `any`: only those that every Python installs."""
    for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines():
        requirement = line.partition("#")[0].strip()
        if requirement and (python != "any" or ";" not in requirement):
            yield requirement


def python_version(python: str | Path) -> str | None:
    """`3.11` for an interpreter that starts and has venv and pip, else None."""
    code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def find_python(version: str) -> str:
    """An interpreter of that version (`3.11`): this one, then PATH, pyenv, and where installers put it.

    Raises SetupError.
    """
    for candidate in candidates(version):
        if python_version(candidate) == version:
            return candidate
    raise SetupError(f"Python {version} is needed and not found. Install it, or put python{version} on PATH.")


def candidates(version: str) -> Iterator[str]:
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        # Not an environment's own interpreter, which may be the one about to be made anew.
        yield getattr(sys, "_base_executable", sys.executable)
    for name in (f"python{version}", "python3", "python"):
        found = shutil.which(name)
        if found:
            yield found
    pyenv = shutil.which("pyenv")
    if pyenv:
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True).stdout.strip()
        yield from sorted(glob.glob(f"{root}/versions/{version}.*/bin/python"), reverse=True)
    if os.name == "nt":
        compact = version.replace(".", "")
        yield from glob.glob(rf"{os.environ.get('LOCALAPPDATA', '')}\Programs\Python\Python{compact}*\python.exe")
        yield from glob.glob(rf"{os.environ.get('PROGRAMFILES', '')}\Python{compact}*\python.exe")
    for folder in ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", f"/opt/homebrew/opt/python@{version}/bin"):
        yield f"{folder}/python{version}"


def missing_system_packages() -> list[str]:
    """Debian packages of the libraries that bpy links and this machine lacks; empty where bpy carries its own."""
    if platform.system() != "Linux":
        return []
    return [package for library, package in SYSTEM_LIBRARIES.items() if ctypes.util.find_library(library) is None]


def require_system_libraries() -> None:
    missing = missing_system_packages()
    if missing:
        raise SetupError(
            "Blender as a Python module needs system libraries that are not here. "
            f"Install them (Debian, Ubuntu): sudo apt-get install -y {' '.join(missing)}"
        )


def run(command: Sequence[str | Path], **environment: str) -> int:
    """Run in the checkout with these variables added. Returns the exit status."""
    return subprocess.run([str(part) for part in command], cwd=ROOT, env={**os.environ, **environment}).returncode
