"""The panel on a small screen: a sidebar of 280 and 240 pixels in a window of 1366 x 768."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gui.slow_server import SlowServer, answers
from tests.gui.window import run_in_window
from tests.magicanimate_blender.client.fake_server import FakeServer

DRIVERS = Path(__file__).parent / "drivers"


@pytest.fixture
def servers(slow_server: SlowServer) -> Iterator[dict[str, str]]:
    """Scripted ones, whose jobs take minutes or no time; the environment that tells a driver where they are."""
    quick = FakeServer()
    quick.fault = answers
    yield {**slow_server.environment, "QUICK_URL": quick.url}
    quick.kill()


def test_a_small_screen(chroot: Path, archive: Path, pictures: Path, servers: dict[str, str]) -> None:
    """Animate, progress and Cancel are in view, stay in their place, and ESC does not touch the job."""
    run = run_in_window(
        chroot, DRIVERS / "sidebar.py", pictures, extensions=[archive], environment=servers, size="1366x768",
        limit_s=900,
    )  # fmt: skip
    assert run.status == 0, run.report()
