from collections.abc import Iterator
from pathlib import Path

import pytest

from magicanimate_blender.animation import Animations
from tests.magicanimate_blender.animation.helpers import FakeSource
from tests.magicanimate_blender.client.fake_server import FakeServer


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    server = FakeServer()
    yield server
    if server.up:
        server.kill()


@pytest.fixture
def source(fake: FakeServer) -> FakeSource:
    return FakeSource(fake)


@pytest.fixture
def animations(tmp_path: Path, source: FakeSource) -> Iterator[Animations]:
    animations = Animations(tmp_path / "results", source)
    yield animations
    animations.close()
