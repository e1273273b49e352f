"""The panel on a small screen: a sidebar of 280 and 240 pixels in a window of 1366 x 768."""

from pathlib import Path

from tests.gui.slow_server import SlowServer
from tests.gui.window import run_in_window

DRIVERS = Path(__file__).parent / "drivers"


def test_a_small_screen(chroot: Path, archive: Path, pictures: Path, slow_server: SlowServer) -> None:
    """Animate, progress and Cancel are in view, stay in their place, and ESC does not touch the job."""
    run = run_in_window(
        chroot, DRIVERS / "sidebar.py", pictures, extensions=[archive], environment=slow_server.environment,
        size="1366x768", limit_s=900,
    )  # fmt: skip
    assert run.status == 0, run.report()
