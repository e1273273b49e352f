"""What becomes of a finished animation: it takes its place in the scene, and the window stays alive meanwhile.

Its files are got ready in a thread, and where the character stands is measured a frame at a time. What changes the
scene comes last and at once, so that it is one step of undo.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import bpy

from .. import results
from ..animation import Record, State
from ..results import Clip, placement
from ..scene.characters import find_characters, get_object
from ..scene.errors import SceneError
from . import clips
from .drawing import is_rendering
from .runtime import Runtime
from .settings import scene_of

PREVIEW = "preview"
"""Group of jobs that only show one frame in the panel."""
REPLACE = "REPLACE"
"""Kind of delivery: whatever shows the result's base shows the result."""
NEARER = 0.998
SAMPLED_FRAMES = 8
"""Frames at which the character's depth is measured, spread over the clip."""


class Delivery:
    """A result on its way into a scene: `step` until that returns True, then `place`.

    kind: PLANE, CURSOR, COMPOSITOR, STRIP, IMAGE or REPLACE. The scene is kept by its session id, as undo replaces it.
    """

    def __init__(self, runtime: Runtime, record: Record, scene: bpy.types.Scene, kind: str) -> None:
        if record.state is not State.DONE:
            raise SceneError("That animation is not finished.", "Wait for it, or choose another result.")
        self.record = record
        self._kind = kind
        self._runtime = runtime
        self._scene_uid = scene.session_uid
        self._clip: Clip | None = None
        self._files: Future[None] | None = None
        self._to_look_at: deque[int] | None = None
        self._nearest = math.inf

    def step(self) -> bool:
        """Get on a little, never waiting; True once it can be placed. Raises DensePoseError, ClientError."""
        scene = self._scene()
        if scene is None:
            return True
        clip = clips.planned_clip(self._runtime, self.record, cut_out=self._cut_out(scene))
        if clip != self._clip or self._files is None:  # at first, or because the file was saved elsewhere meanwhile
            self._clip, self._files = clip, self._write(clip)
        if self._to_look_at is None:
            self._to_look_at = deque(self._frames_to_look_at(scene, clip))
        if self._to_look_at and not is_rendering():
            self._look(scene, [self._to_look_at.popleft()])
        if self._to_look_at or not self._files.done():
            return False
        self._files.result()
        return True

    def finish(self) -> None:
        """All of it at once, where no timer runs. Raises DensePoseError, ClientError."""
        while not self.step():
            time.sleep(0.01)
        self.place()

    def place(self) -> bool:
        """Put it into the scene; whether that was still there. Raises DensePoseError."""
        scene, clip = self._scene(), self._clip
        if scene is None or clip is None:
            return False
        if self._kind == REPLACE:
            results.refresh(scene, clip, replaces=self.record.spec.base)
        elif self._kind == "PLANE" and scene.camera is not None:
            results.add_plane(scene, clip, depth=self._depth(scene))
        elif self._kind in ("PLANE", "CURSOR"):
            standing = placement.at_cursor(scene, clip.size, height=self._height_of_view(scene, clip))
            results.add_plane(scene, clip, placement=standing)
        elif self._kind == "COMPOSITOR":
            results.add_to_compositor(scene, clip)
        elif self._kind == "STRIP":
            results.add_strip(scene, clip)
        elif self._kind == "IMAGE":
            results.load_sequence(scene, clip).use_fake_user = True
        return True

    def _scene(self) -> bpy.types.Scene | None:
        return next((scene for scene in bpy.data.scenes if scene.session_uid == self._scene_uid), None)

    def _write(self, clip: Clip) -> Future[None]:
        pool = ThreadPoolExecutor(1, "magicanimate delivery")
        written = pool.submit(clips.write_files, self._runtime.animations.history.folder(self.record.id), clip)
        pool.shutdown(wait=False)
        return written

    def _cut_out(self, scene: bpy.types.Scene) -> bool:
        if self._kind == REPLACE:
            shown = results.sequence.images_of(self.record.spec.base or "")
            return any(results.clip.MATTE in image for image in shown)
        return scene.magicanimate.cut_out and self._kind not in ("STRIP", "IMAGE")

    # where the character stands

    def _frames_to_look_at(self, scene: bpy.types.Scene, clip: Clip) -> Iterable[int]:
        """What was seen when the part maps were drawn is taken; a result of an earlier session is measured anew."""
        if scene.camera is None or self._kind not in ("PLANE", "CURSOR"):
            return ()
        if clip.id in self._runtime.depths:
            self._nearest = self._runtime.depths[clip.id]
            return ()
        last = clip.start + clip.length(scene) - 1
        return sorted(
            {round(clip.start + (last - clip.start) * n / (SAMPLED_FRAMES - 1)) for n in range(SAMPLED_FRAMES)}
        )

    def _look(self, scene: bpy.types.Scene, frames: list[int]) -> None:
        characters = find_characters(scene)
        meshes = [get_object(name) for character in characters for name in character.meshes]
        self._nearest = min(self._nearest, placement.nearest_point(scene, meshes, frames))

    def _depth(self, scene: bpy.types.Scene) -> float:
        """Every further plane comes a little nearer, so that the newest is seen."""
        planes = sum(1 for obj in scene.objects if results.clip.TAG in obj and obj.parent == scene.camera)
        return placement.just_before(scene, self._nearest) * NEARER**planes

    def _height_of_view(self, scene: bpy.types.Scene, clip: Clip) -> float:
        """Metres that the clip's height spans at the character, so that the figure is life-size; 2 without a camera."""
        if scene.camera is None:
            return 2.0
        low, high = placement.view_rectangle(scene, clip.size, placement.just_before(scene, self._nearest))
        return high.y - low.y


def delivery_of(runtime: Runtime, record: Record) -> Delivery | None:
    """Where the panel of its scene says, or, of a regenerated result, where its base is shown.

    None if it goes nowhere: it is only looked at in the panel, or its scene is not in the open file.
    """
    scene = scene_of(record.id)
    if scene is None or record.spec.group is not None:  # previews and variations
        return None
    base = record.spec.base
    kind = REPLACE if base is not None and results.uses_of(base) else scene.magicanimate.then
    return None if kind == "NOTHING" else Delivery(runtime, record, scene, kind)
