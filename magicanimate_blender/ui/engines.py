"""The engines that the server has, remembered so that the panel is whole before any server runs."""

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from ..client import ClientError, Engine, FileProblem, WeightSet, write_atomic
from ..client.model import parse_list
from .package import data_folder, package_folder
from .settings import SceneSettings

_known: list[Engine] = []


def known_engines() -> list[Engine]:
    """As the server last told."""
    if not _known:
        _known[:] = stored_engines()
    return _known


def learn_engines(engines: Sequence[Engine]) -> None:
    """The server has told which engines it has."""
    if engines and list(engines) != _known:
        _known[:] = engines
        with contextlib.suppress(ClientError):  # then they are asked for again next time
            write_atomic(_file(), json.dumps([dataclasses.asdict(engine) for engine in engines]).encode())


def stored_engines() -> list[Engine]:
    """From disk: as the server last told, else as the server of the add-on's own version has them."""
    for path in (_file(), package_folder() / "assets" / "engines.json"):
        try:
            return parse_list(Engine, json.loads(path.read_bytes()))
        except (OSError, ValueError, ClientError):
            continue
    raise FileProblem("The add-on's files are damaged", fix="Install it again.", code="broken-addon")


def engine_for(settings: SceneSettings, engines: Sequence[Engine]) -> Engine:
    return next((engine for engine in engines if engine.id == settings.engine), engines[0])


def weights_for(settings: SceneSettings, engine: Engine) -> WeightSet:
    """The chosen weights; without a choice the best that are ready, else the best."""
    chosen = next((w for w in engine.weight_sets if w.id == settings.weights), None)
    by_worth = sorted(engine.weight_sets, key=lambda w: (w.state != "ready", w.demo))
    return chosen or by_worth[0]


def output_size(settings: SceneSettings, weights: WeightSet, share: float | None = None) -> tuple[int, int]:
    """Width and height in pixels: the advised ones or the user's, and of these the chosen part or `share`.

    In multiples that the weights can do; a part is rounded down.
    """
    multiple, share = weights.size_multiple, settings.size_share if share is None else share
    whole = weights.default_size
    if not settings.use_advised_size:
        whole = round(settings.width / multiple) * multiple, round(settings.height / multiple) * multiple
    width, height = (max(multiple, int(length * share / multiple + 1e-6) * multiple) for length in whole)
    return width, height


def _file() -> Path:
    return data_folder() / "engines.json"
