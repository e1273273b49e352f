"""Why Animate can't be clicked, in one sentence, with the button that mends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import bpy

from ..client import WeightSet, is_loopback
from ..server_manager import InstallKind
from .engines import engine_for, weights_for
from .preferences import preferences
from .request import frames_of
from .runtime import Runtime
from .scene_facts import facts


@dataclass(frozen=True)
class Problem:
    """sentence: what is missing. operator, label, options: the button that mends it."""

    sentence: str
    operator: str = ""
    label: str = ""
    options: Mapping[str, object] = field(default_factory=dict)


def first_problem(runtime: Runtime, scene: bpy.types.Scene) -> Problem | None:
    """The first thing that stands in the way, in the order of the panel; None if all is well."""
    return _of_scene(scene) or _of_server(runtime) or _of_weights(runtime, scene)


def _of_scene(scene: bpy.types.Scene) -> Problem | None:
    chosen = scene.magicanimate
    found = facts(scene)
    if found.problem is not None:
        if not any(obj.type == "ARMATURE" for obj in scene.objects):
            return Problem("There is no rigged character in the scene.", *_ADD_CHARACTER)
        return Problem(f"{found.problem.text} {found.problem.fix}")
    if scene.camera is None:
        return Problem("The scene has no camera.", "magicanimate.frame_camera", "Add a Camera That Fits")
    if chosen.reference is None:
        return Problem("No reference picture is chosen.", "magicanimate.open_reference", "Choose a Picture…")
    if not chosen.consent:
        return Problem(
            "Please confirm your right to the picture.", "magicanimate.give_consent", "I May Use This Picture"
        )
    if not frames_of(scene):
        return Problem(
            "The end frame lies before the start frame.", "magicanimate.use_scene_range", "Use the Scene's Range"
        )
    return None


_GO_ONLINE = ("screen.userpref_show", "Open the Preferences", {"section": "SYSTEM"})
_ADD_CHARACTER = ("magicanimate.add_sample_character", "Add the Sample Character")


def _of_server(runtime: Runtime) -> Problem | None:
    if preferences().server == "REMOTE":
        url = preferences().url
        if not url:
            return Problem("No address of a server is given.", "magicanimate.open_preferences", "Open the Preferences")
        if not is_loopback(url) and not bpy.app.online_access:
            return Problem("The server is on another computer, and Blender is not allowed to go online.", *_GO_ONLINE)
        return None
    state = runtime.installed()
    if state.usable or runtime.watch.status.info is not None:
        return None
    if state.kind is InstallKind.INSTALLING:
        return Problem("The server is being installed.")
    if not bpy.app.online_access:
        sentence = f"{state.sentence}, and Blender is not allowed to go online to fetch it."
        return Problem(sentence, *_GO_ONLINE)
    label = "Install the Server" if state.kind is InstallKind.NOT_INSTALLED else "Install the Server Again"
    if state.kind is InstallKind.INCOMPLETE:
        label = "Go On Installing the Server"
    return Problem(f"{state.sentence}.", "magicanimate.install_server", label)


def _of_weights(runtime: Runtime, scene: bpy.types.Scene) -> Problem | None:
    """Whether they are there is only known while a server runs; if not, the job itself will tell."""
    engines = runtime.watch.status.engines
    if runtime.watch.status.info is None or not engines:
        return None
    weights: WeightSet = weights_for(scene.magicanimate, engine_for(scene.magicanimate, engines))
    if weights.state == "ready":
        return None
    download = next((w.download for w in runtime.watch.status.weights if w.id == weights.id), None)
    if download is not None and download.state in ("queued", "running"):
        return Problem(f"{weights.title}: the weights are being downloaded.")
    verb = "are missing" if weights.state == "missing" else "are damaged"
    return Problem(
        f"{weights.title}: the weights {verb}.",
        "magicanimate.download_weights",
        "Download Them…",
        {"weights": weights.id},
    )
