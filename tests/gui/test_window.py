"""The add-on in a real Blender window, by clicks. Not part of the usual run: `python3 tools/dev.py gui`."""

import os
from pathlib import Path

import pytest

from tests.gui.window import run_in_window

DRIVERS = Path(__file__).parent / "drivers"


def test_the_installed_extension_shows_its_tab(chroot: Path, archive: Path, pictures: Path) -> None:
    run = run_in_window(chroot, DRIVERS / "panel.py", pictures, extensions=[archive])
    assert run.status == 0, run.report()
    assert (pictures / "panel.png").stat().st_size > 0


def test_an_artists_first_animation(chroot: Path, archive: Path, pictures: Path, server: dict[str, str]) -> None:
    """The demo by one click; cancel, animate, a plane; a key is moved, regenerate, the plane is renewed in place."""
    driver = DRIVERS / "first_animation.py"
    run = run_in_window(chroot, driver, pictures, extensions=[archive], environment=server, limit_s=2400)
    assert run.status == 0, run.report()


def test_the_window_is_never_held_up(chroot: Path, archive: Path, pictures: Path, server: dict[str, str]) -> None:
    """What the add-on takes of each turn of Blender's event loop stays below its bound; turns.json has the figures."""
    run = run_in_window(
        chroot, DRIVERS / "long_job.py", pictures, extensions=[archive], environment=server, limit_s=1500
    )
    assert run.status == 0, run.report()


def test_blender_killed_in_mid_job_finds_it_again(
    chroot: Path, archive: Path, pictures: Path, server: dict[str, str]
) -> None:
    """A job with all its maps goes on and its plane arrives; one that was still drawn is told of, with a button."""
    run = run_in_window(chroot, DRIVERS / "killed.py", pictures, extensions=[archive], environment=server, limit_s=1800)
    assert run.status == 0, run.report()


INSTALL = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/tmp"}
"""pip's settings in the window's session, where files lie in /tmp."""


def test_the_server_is_installed_and_removed(
    chroot: Path, small_archive: Path, small_torch: Path, pictures: Path
) -> None:
    """From the preferences, by real pip with wheels of next to nothing: cancelled, gone on with, started, removed."""
    if not any(chroot.glob("usr/bin/python3.1[123]")):
        pytest.skip("this Debian has no Python that the server runs on")
    run = run_in_window(
        chroot, DRIVERS / "install.py", pictures, extensions=[small_archive], files=[small_torch], environment=INSTALL,
        limit_s=600, online=True,
    )  # fmt: skip
    assert run.status == 0, run.report()


@pytest.mark.skipif("REAL_INSTALL" not in os.environ, reason="downloads some GB: dev.py gui --real-install")
def test_the_real_server_is_installed(chroot: Path, archive: Path, pip_settings: Path, pictures: Path) -> None:
    """The same with the wheel that the zip brings, and all that it needs, from where this machine's pip gets it."""
    settings = {"PIP_CONFIG_FILE": f"/tmp/{pip_settings.name}"}
    run = run_in_window(
        chroot, DRIVERS / "install.py", pictures, extensions=[archive], files=[pip_settings], environment=settings,
        limit_s=1500, online=True,
    )  # fmt: skip
    assert run.status == 0, run.report()


def test_a_result_is_deleted_after_a_question_and_comes_back_by_undo(
    chroot: Path, archive: Path, pictures: Path
) -> None:
    run = run_in_window(chroot, DRIVERS / "delete_result.py", pictures, extensions=[archive], limit_s=600)
    assert run.status == 0, run.report()
