"""Why Animate can't be clicked, in one sentence, with the button that mends it."""

from __future__ import annotations

from dataclasses import dataclass

import bpy

from ..client import WeightSet, is_loopback
from ..server_manager import InstallKind
from .engines import engine_for, weights_for
from .mends import GO_ONLINE, INSTALL, INSTALL_AGAIN, PREFERENCES, Mend, mend_of
from .preferences import preferences
from .request import frames_of
from .runtime import Runtime
from .scene_facts import facts
from .settings import STILL


@dataclass(frozen=True)
class Problem:
    """sentence: what is missing. mend: the button that helps."""

    sentence: str
    mend: Mend | None = None


def first_problem(runtime: Runtime, scene: bpy.types.Scene) -> Problem | None:
    """The first thing that stands in the way, in the order of the panel; None if all is well."""
    return _of_scene(scene) or _of_server(runtime) or _of_weights(runtime, scene)


def _of_scene(scene: bpy.types.Scene) -> Problem | None:
    chosen = scene.magicanimate
    found = facts(scene)
    if found.problem is not None:
        if not any(obj.type == "ARMATURE" for obj in scene.objects):
            return Problem("There is no rigged character in the scene.", _ADD_CHARACTER)
        return Problem(f"{found.problem.text} {found.problem.fix}", mend_of(found.problem.code))
    if scene.camera is None:
        return Problem("The scene has no camera.", Mend("magicanimate.frame_camera", "Add a Camera That Fits"))
    if chosen.reference is None:
        return Problem("No reference picture is chosen.", Mend("magicanimate.open_reference", "Choose a Picture…"))
    if chosen.reference.source not in STILL:
        return Problem(
            f"“{chosen.reference.name}” is no still picture.", Mend("magicanimate.open_reference", "Choose a Picture…")
        )
    if not chosen.consent:
        return Problem(
            "Please confirm your right to the picture.", Mend("magicanimate.give_consent", "I May Use This Picture")
        )
    if not frames_of(scene):
        return Problem(
            "The end frame lies before the start frame.", Mend("magicanimate.use_scene_range", "Use the Scene's Range")
        )
    return None


_ADD_CHARACTER = Mend("magicanimate.add_sample_character", "Add the Sample Character")


def _of_server(runtime: Runtime) -> Problem | None:
    if preferences().server == "REMOTE":
        url = preferences().url
        if not url:
            return Problem("No address of a server is given.", PREFERENCES)
        if not is_loopback(url) and not bpy.app.online_access:
            return Problem("The server is on another computer, and Blender is not allowed to go online.", GO_ONLINE)
        return None
    state = runtime.installed()
    if state.usable or runtime.watch.status.info is not None:
        return None
    if state.kind is InstallKind.INSTALLING:
        return Problem("The server is being installed.")
    if preferences().python:  # an environment that the user looks after
        return Problem(f"{state.sentence}.", PREFERENCES)
    if not bpy.app.online_access:
        return Problem(f"{state.sentence}, and Blender is not allowed to go online to fetch it.", GO_ONLINE)
    mend = {
        InstallKind.NOT_INSTALLED: INSTALL,
        InstallKind.INCOMPLETE: INSTALL._replace(label="Go On Installing the Server"),
    }.get(state.kind, INSTALL_AGAIN)
    return Problem(f"{state.sentence}.", mend)


def _of_weights(runtime: Runtime, scene: bpy.types.Scene) -> Problem | None:
    """Whether they are there is only known while a server runs; if not, the job itself will tell."""
    engines = runtime.watch.status.engines
    if runtime.watch.status.info is None or not engines:
        return None
    weights: WeightSet = weights_for(scene.magicanimate, engine_for(scene.magicanimate, engines))
    if weights.state == "ready":
        return None
    download = next((w.download for w in runtime.watch.status.weights if w.id == weights.id), None)
    if download is not None and download.running:
        return Problem(f"{weights.title}: the weights are being downloaded.")
    verb = "are missing" if weights.state == "missing" else "are damaged"
    return Problem(
        f"{weights.title}: the weights {verb}.",
        Mend("magicanimate.download_weights", "Download Them…", {"weights": weights.id}),
    )
