import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bpy
import pytest

import magicanimate_blender
from magicanimate_blender.animation import Animation, Snapshot
from magicanimate_blender.scene.rigging import make_active
from magicanimate_blender.ui import engine_settings, engines, runtime, timer
from magicanimate_blender.ui.preferences import Preferences
from magicanimate_blender.ui.runtime import Runtime
from tests.magicanimate_blender.client.fake_server import TOKEN, FakeServer, Handler

ASSETS = Path(magicanimate_blender.__file__).parent / "assets"
Finish = Callable[[Animation], Snapshot]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.magicanimate_status = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """The bpy module of Blender 4.2 crashes at exit as soon as any property has had an update function."""
    if bpy.app.version < (4, 3, 0) and not hasattr(config, "workerinput"):
        os._exit(getattr(config, "magicanimate_status", 1))


@pytest.fixture(scope="session")
def addon() -> Iterator[None]:
    bpy.ops.preferences.addon_enable(module="magicanimate_blender")
    yield
    bpy.ops.preferences.addon_disable(module="magicanimate_blender")


@pytest.fixture
def scene(addon: None) -> Iterator[bpy.types.Scene]:
    """The scene of an empty file, with the add-on enabled and the engine's shipped settings."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    engines._known[:] = engines.parse_list(engines.Engine, json.loads((ASSETS / "engines.json").read_bytes()))
    engine_settings.use_schema(engines.known_engines()[0].settings_schema)
    yield bpy.context.scene
    runtime.restart()


@pytest.fixture
def preferences(scene: bpy.types.Scene, tmp_path: Path) -> Preferences:
    """Nothing is installed; results go to a folder of the test's own."""
    chosen = bpy.context.preferences.addons["magicanimate_blender"].preferences
    for name in ("server", "url", "token", "python", "beside_file", "stop_server"):
        chosen.property_unset(name)
    chosen.results = str(tmp_path / "results")
    runtime.restart()
    return chosen


def ready_engines(handler: Handler) -> bool:
    """The scripted server has the engine that the add-on ships the settings of, with its weights."""
    if handler.path != "/v1/engines":
        return False
    known = json.loads((ASSETS / "engines.json").read_bytes())
    for weights in known[0]["weight_sets"]:
        weights["state"] = "ready"
    handler.json(200, known)
    return True


@pytest.fixture
def server(preferences: Preferences) -> Iterator[FakeServer]:
    """A scripted server that the add-on is connected to."""
    fake = FakeServer()
    fake.fault = ready_engines
    preferences.server, preferences.url, preferences.token = "REMOTE", fake.url, TOKEN
    yield fake
    runtime.restart()
    if fake.up:
        fake.kill()


@pytest.fixture
def current(server: FakeServer) -> Runtime:
    return runtime.runtime()


@pytest.fixture(scope="session")
def stage_file(addon: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene that is ready to be animated: a coarse character, four frames of 64 x 64 pixels, the sample picture."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    scene = bpy.context.scene
    bpy.ops.magicanimate.add_sample_character(kind="female")
    body = scene.objects["Sample Female Body"]
    body.modifiers.new("Coarse", "DECIMATE").ratio = 0.2
    body.modifiers.move(1, 0)
    make_active(scene, body)
    bpy.ops.object.modifier_apply(modifier="Coarse")
    chosen = scene.magicanimate
    chosen.use_advised_size, chosen.width, chosen.height = False, 64, 64
    scene.frame_start, scene.frame_end = 1, 4
    bpy.ops.magicanimate.frame_camera()
    bpy.ops.magicanimate.open_reference(filepath=str(ASSETS / "sample_reference.png"))
    chosen.consent = True
    path = tmp_path_factory.mktemp("stage") / "stage.blend"
    preferences = bpy.context.preferences.addons["magicanimate_blender"].preferences
    preferences.beside_file = False  # it is opened as a file that was never saved, which has no relative paths
    bpy.ops.wm.save_as_mainfile(filepath=str(path), relative_remap=False)
    preferences.property_unset("beside_file")
    return path


@pytest.fixture
def stage(stage_file: Path, scene: bpy.types.Scene) -> bpy.types.Scene:
    """The scene of `stage_file`, as a file that was never saved."""
    bpy.ops.wm.read_homefile(filepath=str(stage_file), load_ui=False)
    return bpy.context.scene


@pytest.fixture
def finish() -> Finish:
    """Pump a job to its end, as the timer does in a window."""

    def wait(animation: Animation, seconds: float = 20.0) -> Snapshot:
        end = time.monotonic() + seconds
        current = runtime.runtime()
        while animation.id not in current.noticed or current.deliveries:
            timer.pump(current)
            assert time.monotonic() < end, animation.poll()
            time.sleep(0.005)
        return animation.poll()

    return wait


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Wait for a state, drawing on meanwhile."""

    def wait(condition: Callable[[], object], seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            timer.pump(runtime.runtime())
            assert time.monotonic() < end
            time.sleep(0.005)

    return wait
