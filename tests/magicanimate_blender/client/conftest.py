from collections.abc import Iterator

import pytest

from magicanimate_blender.client import Client
from tests.magicanimate_blender.client.fake_server import TOKEN, FakeServer


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    server = FakeServer()
    yield server
    if server.up:
        server.kill()


@pytest.fixture
def client(fake: FakeServer) -> Iterator[Client]:
    client = Client(fake.url, TOKEN, timeout=2.0)
    yield client
    client.close()
