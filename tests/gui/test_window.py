"""The add-on in a real Blender window, by clicks. Not part of the usual run: `python3 tools/dev.py gui`."""

from pathlib import Path

from tests.gui.window import run_in_window

DRIVERS = Path(__file__).parent / "drivers"


def test_the_installed_extension_shows_its_tab(chroot: Path, archive: Path, pictures: Path) -> None:
    run = run_in_window(chroot, DRIVERS / "panel.py", pictures, extensions=[archive])
    assert run.status == 0, run.report()
    assert (pictures / "panel.png").stat().st_size > 0
