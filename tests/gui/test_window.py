"""The add-on in a real Blender window, by clicks. Not part of the usual run: `python3 tools/dev.py gui`."""

from pathlib import Path

from tests.gui.window import run_in_window

DRIVERS = Path(__file__).parent / "drivers"


def test_the_installed_extension_shows_its_tab(chroot: Path, archive: Path, pictures: Path) -> None:
    run = run_in_window(chroot, DRIVERS / "panel.py", pictures, extensions=[archive])
    assert run.status == 0, run.report()
    assert (pictures / "panel.png").stat().st_size > 0


def test_an_artists_first_animation(chroot: Path, archive: Path, pictures: Path, server: dict[str, str]) -> None:
    """The demo by one click; cancel, animate, a plane; a key is moved, regenerate, the plane is renewed in place."""
    driver = DRIVERS / "first_animation.py"
    run = run_in_window(chroot, driver, pictures, extensions=[archive], environment=server, limit_s=1200)
    assert run.status == 0, run.report()
