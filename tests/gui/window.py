"""A real Blender window on a virtual display in a chroot (make_chroot.sh), driven by a script (harness.py)."""

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
INSIDE = ("session.sh", "harness.py", "artist.py", "turns.py")
"""What is laid beside the driver."""
DISPLAYS = itertools.count(100 + os.getpid() % 400)

MEANINGS = {97: "the extension could not be installed", 98: "Blender ended by itself", 124: "it took too long"}


@dataclass(frozen=True)
class Run:
    """How a run ended (0: the driver went through), and the folder with its screenshots and logs."""

    status: int
    out: Path

    def report(self) -> str:
        logs = [path.read_text(errors="replace")[-4000:] for path in sorted(self.out.glob("*.log"))]
        return "\n".join([MEANINGS.get(self.status, f"exit status {self.status}"), *logs])


def run_in_window(
    chroot: Path,
    driver: Path,
    out: Path,
    *,
    extensions: Sequence[Path] = (),
    files: Sequence[Path] = (),
    environment: Mapping[str, str] | None = None,
    size: str = "1600x1000",
    limit_s: int = 300,
    online: bool = False,
    backend: str = "opengl",
) -> Run:
    """Install the extensions, open Blender, run the driver's steps, and copy what it wrote to `out`.

    files: laid beside the driver, whose working folder it is. The chroot shares the host's network, so a server on
    127.0.0.1 can be reached from inside. backend: opengl, or vulkan from Blender 4.5 on.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for path in (*(HERE / name for name in INSIDE), *extensions, *files):
            shutil.copy(path, folder)
        shutil.copy(driver, folder / "driver.py")
        # The chroot sees that folder as its /tmp: all that a run leaves behind goes away with it.
        mounts = 'mount -t proc proc "$0/proc" && mount --rbind /sys "$0/sys" && mount --rbind /dev "$0/dev"'
        inside = f'{mounts} && mount --bind "$1" "$0/tmp" && exec chroot "$0" bash /tmp/session.sh'
        # Mounts and processes of its own end with it, and it with this process, whatever becomes of them.
        command = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child",
        ]
        command += ["bash", "-c", inside, str(chroot), str(folder)]
        settings = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "WINDOW_DISPLAY": str(next(DISPLAYS)),
            "WINDOW_SIZE": size,
            "WINDOW_LIMIT": str(limit_s),
            "WINDOW_NETWORK": "--online-mode" if online else "--offline-mode",
            "WINDOW_BACKEND": backend,
        }
        status = subprocess.run(command, env={**settings, **(environment or {})}, stdin=subprocess.DEVNULL).returncode
        shutil.rmtree(out, ignore_errors=True)  # an earlier run's
        shutil.copytree(folder / "out", out)
        return Run(status, out)
