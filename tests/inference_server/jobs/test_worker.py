"""The worker's own decisions, with engines that only note what happens to them."""

import sys
import types
import uuid
import weakref
from dataclasses import replace
from pathlib import Path

import pytest

from inference_server.engines.magicanimate.info import MAGICANIMATE
from inference_server.jobs import worker
from inference_server.jobs.folder import DataFolder
from inference_server.jobs.messages import Run


class NotingEngine:
    """Knows how it was loaded."""

    def __init__(self, options):
        self.options = options
        self.itself = self  # as networks do


@pytest.fixture
def loaded(monkeypatch):
    """Weak references to the engines that were loaded, in turn."""
    engines = []

    def load(_folder, options):
        assert all(engine() is None for engine in engines), "two engines at once"
        engine = NotingEngine(options)
        engines.append(weakref.ref(engine))
        return engine

    module = types.ModuleType("noting")
    module.load = load
    monkeypatch.setitem(sys.modules, "noting", module)
    return engines


@pytest.fixture
def working(tmp_path):
    options = worker.parse_options(["--data-dir", str(tmp_path), "--device", "cpu"])
    return worker.Worker(DataFolder(tmp_path), options, lambda _report: None, lambda _device: {})


INFO = replace(MAGICANIMATE, implementation="noting:load")


def command(**changes):
    plain = {"job": uuid.uuid4(), "body": {"engine": "noting"}, "low_memory": False}
    return Run(**{**dict.fromkeys(Run.__dataclass_fields__), **plain, **changes})


def test_a_full_device_is_empty_before_the_engine_is_loaded_again(working, loaded, monkeypatch):
    tried = []

    def run(self, given, low_memory):
        engine = self.engine(INFO, Path("weights"), low_memory)
        tried.append(engine.options.low_memory)
        if not low_memory:
            raise MemoryError

    monkeypatch.setattr(worker.Worker, "_run", run)
    working._run_with_fallbacks(command())
    assert tried == [False, True]
    working._run_with_fallbacks(command())
    assert tried == [False, True, True], "the same weights on the same device"
    working._run_with_fallbacks(command(weights_folder=Path("others")))
    assert tried[3:] == [False, True]
