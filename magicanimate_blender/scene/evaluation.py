"""Characters of a scene evaluated at frame after frame, through whatever the person does to the file meanwhile."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

import bpy
import numpy as np

from .characters import Character, get_object, objects_of
from .errors import SceneError
from .evaluate import FrameGeometry, GeometryCache, extract
from .labels import is_character_labelled, label_character
from .obstacles import require_drawable, waits_for
from .scratch import ScratchScene

HEAVY = 0.02
"""Seconds of evaluating a frame after which its geometry is read in a step of its own, so that a window stays alive."""


class Evaluation:
    """The characters' geometry at any frame of a scene, by a scratch scene that is made when it is first needed.

    Undo and save close the scratch scene: the next step makes another. Holds keys and session ids only, no references.
    Characters without labels are labelled first. `step` raises SceneError: what `require_drawable` finds, a scene or a
    character that is gone, a mesh or a rig that was edited since the first frame.
    """

    def __init__(
        self, scene: bpy.types.Scene, characters: Sequence[Character], cache: GeometryCache | None = None
    ) -> None:
        self._scene = scene.session_uid
        self._characters = list(characters)
        self._cache = GeometryCache() if cache is None else cache
        self._scratch: ScratchScene | None = None
        self._shape = self._bones = ""
        self._at: int | None = None
        self._touched = 0

    @property
    def depsgraph(self) -> bpy.types.Depsgraph:
        """At the frame of the last step; its scene's camera is the shot's."""
        return self._opened().depsgraph

    def step(self, frame: int) -> FrameGeometry | None:
        """The geometry at a frame; None if that takes another step: of a simulation, or since this one took long."""
        waiting = waits_for(self._characters)
        if waiting is not None:
            raise waiting
        if self._bones not in ("", bones_of(self._characters)):
            raise _edited()
        begin = time.perf_counter()
        scratch = self._opened()
        if self._at != frame:
            if not scratch.approach(frame):
                return None
            self._at, self._touched = frame, 0
        for mesh in scratch.meshes()[self._touched :]:
            if time.perf_counter() - begin > HEAVY:
                return None
            len(mesh.polygons)  # Blender subdivides a mesh when somebody first asks for its faces
            self._touched += 1
        if time.perf_counter() - begin > HEAVY:
            return None
        self._at = None
        return extract(self._source(), scratch.depsgraph, self._characters, self._cache)

    def at(self, frame: int) -> FrameGeometry:
        """The geometry at a frame, however many steps that takes."""
        while (geometry := self.step(frame)) is None:
            pass
        return geometry

    def unkeyed_pose(self) -> bool:
        """Whether the current frame shows a pose that its keyframes do not give, and that no map will show."""
        source, scratch = self._source(), self._opened()
        if scratch.simulates:
            return False
        self._at = None
        depsgraph = scratch.evaluate(source.frame_current)
        for character in self._characters:
            armature = get_object(character.armature)
            keyed = armature.evaluated_get(depsgraph)
            for shown, drawn in zip(armature.pose.bones, keyed.pose.bones, strict=True):
                if np.abs(np.array(shown.matrix_basis) - np.array(drawn.matrix_basis)).max() > 1e-3:
                    return True
        return False

    def close(self) -> None:
        if self._scratch is not None:
            self._scratch.close()
            self._scratch = None

    def _source(self) -> bpy.types.Scene:
        scene = next((s for s in bpy.data.scenes if s.session_uid == self._scene), None)
        if scene is None:
            raise SceneError("The scene was deleted while its part maps were drawn.", "Animate another scene.")
        return scene

    def _opened(self) -> ScratchScene:
        if self._scratch is None or not self._scratch.present():
            scene = self._source()
            require_drawable(scene, self._characters)
            for character in self._characters:
                if not is_character_labelled(character):
                    label_character(character)
            shape = shape_of(self._characters)
            if self._shape not in ("", shape):
                raise _edited()
            self._shape, self._bones = shape, bones_of(self._characters)
            self._at = None
            self._scratch = ScratchScene(scene, objects_of(self._characters))
        return self._scratch


def _edited() -> SceneError:
    return SceneError(
        "The character's mesh or rig was edited while its part maps were drawn, so they would not match.",
        "Click Animate again.",
        code="edited",
    )


def bones_of(characters: Sequence[Character]) -> str:
    """Hash of the bones at rest: a mesh is evaluated as a copy, but its armature is not."""
    digest = hashlib.sha256()
    for character in characters:
        bones = get_object(character.armature).data.bones
        matrices = np.empty(16 * len(bones), np.float32)
        bones.foreach_get("matrix_local", matrices)
        digest.update("\n".join(bones.keys()).encode() + matrices.tobytes())
    return digest.hexdigest()


def shape_of(characters: Sequence[Character]) -> str:
    """Hash of the characters at rest: vertices before modifiers, faces, a sample of the weights, and the bones."""
    digest = hashlib.sha256(bones_of(characters).encode())
    for character in characters:
        for obj in objects_of([character]):
            if obj.type == "MESH":
                digest.update(obj.name.encode() + _mesh_bytes(obj.data))
                digest.update("\n".join(group.name for group in obj.vertex_groups).encode())
    return digest.hexdigest()


def _mesh_bytes(mesh: bpy.types.Mesh) -> bytes:
    positions = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", positions)
    corners = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    every = max(1, len(mesh.vertices) // 256)
    sample = (mesh.vertices[number] for number in range(0, len(mesh.vertices), every))
    weights = [(element.group, element.weight) for vertex in sample for element in vertex.groups]
    return positions.tobytes() + corners.tobytes() + np.array(weights, np.float32).tobytes()
