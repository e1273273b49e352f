"""A service over an empty data folder, without a worker."""

from pathlib import Path

import pytest

from inference_server.jobs.events import EventLog
from inference_server.jobs.folder import DataFolder
from inference_server.jobs.service import JobService
from inference_server.jobs.store import Store
from inference_server.media.limits import SERVER_LIMITS


@pytest.fixture
def service(tmp_path: Path) -> JobService:
    folder = DataFolder(tmp_path)
    folder.create()
    store = Store(folder.database)
    return JobService(folder, store, EventLog(1), limits=SERVER_LIMITS, weights_state=lambda _: "ready")
