"""A scripted server in place of the real one: the shipped engine with ready weights, and jobs that take minutes."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

import magicanimate_blender
from tests.magicanimate_blender.client.fake_server import TOKEN, FakeServer, Handler

ENGINES = json.loads((Path(magicanimate_blender.__file__).parent / "assets" / "engines.json").read_bytes())


class SlowServer(FakeServer):
    def __init__(self) -> None:
        super().__init__(steps=25, pace=5.0)
        self.fault = answers

    @property
    def environment(self) -> dict[str, str]:
        """Tells a driver where it is."""
        return {"SERVER_URL": self.url, "SERVER_TOKEN": TOKEN}

    @property
    def part_maps(self) -> list[list[str]]:
        """The part maps of each job that arrived, in order, as their hashes."""
        return [job["body"]["tracks"]["densepose"] for job in self.jobs.values()]


def picture() -> bytes:
    """A preview of the usual size: a gradient."""
    across, down = np.meshgrid(np.arange(128, dtype=np.uint8), np.arange(128, dtype=np.uint8))
    file = io.BytesIO()
    Image.fromarray(np.stack([across * 2, down * 2, across], axis=2)).save(file, "PNG")
    return file.getvalue()


def answers(handler: Handler) -> bool:
    if handler.path == "/v1/engines":
        sets = [{**weights, "state": "ready"} for weights in ENGINES[0]["weight_sets"]]
        handler.json(200, [{**ENGINES[0], "weight_sets": sets}])
    elif handler.path.endswith("/preview.png"):
        handler.answer(200, picture(), "image/png")
    return handler.path == "/v1/engines" or handler.path.endswith("/preview.png")
