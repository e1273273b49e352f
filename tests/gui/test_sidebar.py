"""The panel on a small screen: a sidebar of 280 and 240 pixels in a window of 1366 x 768."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import magicanimate_blender
from tests.gui.window import run_in_window
from tests.magicanimate_blender.client.fake_server import TOKEN, FakeServer, Handler

DRIVERS = Path(__file__).parent / "drivers"
ENGINES = json.loads((Path(magicanimate_blender.__file__).parent / "assets" / "engines.json").read_bytes())


def picture() -> bytes:
    """A preview of the usual size: a gradient."""
    across, down = np.meshgrid(np.arange(128, dtype=np.uint8), np.arange(128, dtype=np.uint8))
    file = io.BytesIO()
    Image.fromarray(np.stack([across * 2, down * 2, across], axis=2)).save(file, "PNG")
    return file.getvalue()


def answers(handler: Handler) -> bool:
    """The shipped engine with ready weights, and a preview worth looking at."""
    if handler.path == "/v1/engines":
        sets = [{**weights, "state": "ready"} for weights in ENGINES[0]["weight_sets"]]
        handler.json(200, [{**ENGINES[0], "weight_sets": sets}])
    elif handler.path.endswith("/preview"):
        handler.answer(200, picture(), "image/png")
    return handler.path == "/v1/engines" or handler.path.endswith("/preview")


@pytest.fixture
def slow_server() -> Iterator[dict[str, str]]:
    """A scripted server whose jobs take minutes; the environment that tells a driver where it is."""
    fake = FakeServer(steps=25, pace=5.0)
    fake.fault = answers
    yield {"SERVER_URL": fake.url, "SERVER_TOKEN": TOKEN}
    fake.kill()


def test_a_narrow_sidebar(chroot: Path, archive: Path, pictures: Path, slow_server: dict[str, str]) -> None:
    run = run_in_window(
        chroot, DRIVERS / "sidebar.py", pictures, extensions=[archive], environment=slow_server, size="1366x768",
        limit_s=500,
    )  # fmt: skip
    assert run.status == 0, run.report()
