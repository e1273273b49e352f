"""A scratch scene of our own, in which characters are evaluated at any frame while the artist's scene stays as it is.

Every scene has its own current frame and its own dependency graph, and Blender writes animated values back to the data
only from an active graph, which view_layer.update() makes it (so never call that here), but Scene.frame_set() does not.
So nothing that is evaluated here reaches the artist's objects: no frame is changed, no pose, property, modifier or
selection. As in a render, changes without keyframes do not survive the animation of the same property.

The meshes are evaluated as copies with the subdivision levels and modifiers of a render, which a script cannot ask of
the dependency graph, and with part labels, which a linked mesh cannot hold. A mesh with a baked simulation is no copy,
because a copy loses the cache.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import bpy

from .attribute import has_labels, is_labelled, read_labels, write_labels
from .context import view_layer_of
from .identity import SOURCE, find_object, key_of
from .render_state import as_rendered, rendered_objects, use_render_settings
from .simulation import baked_simulation, unbaked_start

NAME = ".MagicAnimate scratch"
MARK = "magicanimate_scratch"
"""Custom property of all that belongs to a scratch scene, so that none can be left behind in a file."""

_RENDER = (
    "fps", "fps_base", "frame_map_old", "frame_map_new", "pixel_aspect_x", "pixel_aspect_y", "resolution_x",
    "resolution_y", "resolution_percentage", "use_simplify", "simplify_subdivision", "simplify_subdivision_render",
)  # fmt: skip
_open: weakref.WeakSet[ScratchScene] = weakref.WeakSet()
_busy = 0


class ScratchScene:
    """`objects` of a scene, evaluated at any frame. A context manager; close it, or it stays in the file's memory.

    rest: with the armatures in their rest position. viewport: with the viewport's levels and modifiers, not a
    render's. everything: also objects that the scene does not show in renders.
    Undo, load and save close all scratch scenes (`close_all`): look at `closed`, and make another.
    """

    def __init__(
        self,
        scene: bpy.types.Scene,
        objects: Iterable[bpy.types.Object],
        *,
        rest: bool = False,
        viewport: bool = False,
        everything: bool = False,
    ) -> None:
        self.closed = False
        self._rest, self._viewport = rest, viewport
        self._copies: dict[bpy.types.Object, bpy.types.Object] = {}
        self._originals: list[str] = []
        self._shown: set[bpy.types.Object] = set()
        self._owned: set[int] = set()
        self._at: int | None = None
        _open.add(self)
        with _quiet():
            try:
                self._build(scene, list(dict.fromkeys(objects)), everything)
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> ScratchScene:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def approach(self, frame: int) -> bool:
        """Take one step towards a frame; True once its evaluation is there, in `depsgraph`.

        One step is enough, but where a simulation is not baked: that runs through all frames from its start.
        """
        target = frame
        if self._start is not None and frame > self._start:
            begin = self._start if self._at is None or not self._start <= self._at <= frame else self._at + 1
            target = min(begin, frame)
        originals = [obj for key in self._originals if (obj := find_object(key)) is not None]
        with _quiet(), as_rendered(originals):
            self.scene.frame_set(target)
        self._at = target
        return target == frame

    def evaluate(self, frame: int) -> bpy.types.Depsgraph:
        """The dependency graph at a frame, however many steps that takes."""
        while not self.approach(frame):
            pass
        return self.depsgraph

    @property
    def simulates(self) -> bool:
        """Whether a simulation that is not baked makes every frame depend on those before it."""
        return self._start is not None

    @property
    def depsgraph(self) -> bpy.types.Depsgraph:
        return self.scene.view_layers[0].depsgraph

    def meshes(self) -> list[bpy.types.Mesh]:
        """Those of the objects that are shown, as evaluated last."""
        shown = self.scene.collection.all_objects
        return [obj.evaluated_get(self.depsgraph).data for obj in shown if obj.type == "MESH"]

    def evaluated(self, obj: bpy.types.Object) -> bpy.types.Object:
        """What an object of the artist's scene is at the frame that was evaluated last."""
        return self.own(obj).evaluated_get(self.depsgraph)

    def own(self, obj: bpy.types.Object) -> bpy.types.Object:
        """The copy that stands for an object; the object itself where it is evaluated as it is."""
        return self._copies.get(obj, obj)

    def present(self) -> bool:
        """Whether all is still there: another file may be open, or somebody deleted the scene."""
        return not self.closed and any(scene.session_uid == self._uid for scene in bpy.data.scenes)

    def close(self) -> None:
        """Remove the scene and all copies. May be called again, and when another file is open."""
        if not self.closed:
            self.closed = True
            _open.discard(self)
            self._copies.clear()
            self._shown.clear()
            _remove([data for data in _marked() if data.session_uid in self._owned])

    def _build(self, scene: bpy.types.Scene, objects: list[bpy.types.Object], everything: bool) -> None:
        self.scene = self._own(bpy.data.scenes.new(NAME))
        self._uid = self.scene.session_uid
        _take_settings(scene, self.scene, viewport=self._viewport)
        self._start = None if self._rest else unbaked_start(objects)
        for obj in objects:
            if self._rest or not baked_simulation(obj):
                self._copy(obj)
            elif not self._viewport:
                self._originals.append(key_of(obj))
        if self._rest:
            for armature in {a for obj in objects for a in _armatures(obj)}:
                self._copy_at_rest(armature)
        for copy in self._copies.values():
            _point_to_copies(copy, self._copies)
        layer = view_layer_of(scene)
        shown = {key_of(obj) for obj in objects} if everything else rendered_objects(layer)
        for obj in objects:
            if key_of(obj) in shown:
                self._show(obj)
        self._show_instances(scene, shown, set(objects))
        if self._start is not None:  # what it collides with and what blows at it
            for obj in scene.objects:
                self._show(obj)
        self._take_cameras(scene)

    def _own(self, data: Any) -> Any:
        data[MARK] = True
        self._owned.add(data.session_uid)
        return data

    def _copy_of(self, obj: bpy.types.Object) -> bpy.types.Object:
        copy = self._own(obj.copy())
        copy[SOURCE] = key_of(obj)
        return copy

    def _copy(self, obj: bpy.types.Object) -> None:
        copy = self._copies[obj] = self._copy_of(obj)
        copy.hide_viewport = False
        if obj.type == "MESH":
            mesh = self._own(obj.data.copy())
            copy.data = mesh
            if mesh.shape_keys is not None:
                self._own(mesh.shape_keys)
            if is_labelled(obj) and not has_labels(mesh):
                write_labels(mesh, read_labels(obj.data))
        if not self._viewport:
            use_render_settings(copy)

    def _copy_at_rest(self, armature: bpy.types.Object) -> None:
        copy = self._copies[armature] = self._copy_of(armature)
        copy.data = self._own(armature.data.copy())
        copy.data.pose_position = "REST"
        self._show(armature)

    def _show(self, obj: bpy.types.Object) -> None:
        if obj not in self._shown:
            self._shown.add(obj)
            self.scene.collection.objects.link(self.own(obj))

    def _show_instances(self, scene: bpy.types.Scene, shown: set[str], wanted: set[bpy.types.Object]) -> None:
        """Empties that instance a collection of wanted objects, instancing their copies."""
        collections: dict[bpy.types.Collection, bpy.types.Collection] = {}
        for empty in scene.objects:
            inside = empty.instance_collection if empty.instance_type == "COLLECTION" else None
            if inside is not None and key_of(empty) in shown and self._holds(inside, wanted):
                copy = self._copy_of(empty)
                copy.instance_collection = self._collection_of_copies(inside, wanted, collections)
                copy.hide_viewport = False
                self.scene.collection.objects.link(copy)

    def _holds(self, collection: bpy.types.Collection, wanted: set[bpy.types.Object]) -> bool:
        return any(
            obj in wanted
            or (
                obj.instance_type == "COLLECTION"
                and obj.instance_collection is not None
                and self._holds(obj.instance_collection, wanted)
            )
            for obj in collection.all_objects
        )

    def _collection_of_copies(
        self,
        collection: bpy.types.Collection,
        wanted: set[bpy.types.Object],
        done: dict[bpy.types.Collection, bpy.types.Collection],
    ) -> bpy.types.Collection:
        if collection in done:
            return done[collection]
        copy = done[collection] = self._own(collection.copy())
        for child in list(copy.children):
            copy.children.unlink(child)
            copy.children.link(self._collection_of_copies(child, wanted, done))
        for obj in list(copy.objects):
            own = self._copies.get(obj)
            inside = obj.instance_collection if obj.instance_type == "COLLECTION" else None
            if own is None and inside is not None and self._holds(inside, wanted):
                own = self._copy_of(obj)
                own.instance_collection = self._collection_of_copies(inside, wanted, done)
            if own is not None:
                copy.objects.unlink(obj)
                copy.objects.link(own)
        return copy

    def _take_cameras(self, scene: bpy.types.Scene) -> None:
        """The active camera, and the markers that make others active."""
        if scene.camera is not None:
            self._show(scene.camera)
            self.scene.camera = self.own(scene.camera)
        for marker in scene.timeline_markers:
            if marker.camera is not None:
                self._show(marker.camera)
                self.scene.timeline_markers.new(marker.name, frame=marker.frame).camera = self.own(marker.camera)


def is_scratch(scene: bpy.types.Scene) -> bool:
    """Whether a scene is one of ours: handlers look away from it."""
    return bool(scene.get(MARK))


def at_work() -> bool:
    """Whether something is evaluated in a scratch scene just now: what handlers hear meanwhile is no edit."""
    return _busy > 0


def close_all() -> None:
    """Before undo, save, load and unregister: nothing of ours may get into a file or survive in memory."""
    for scratch in list(_open):
        scratch.close()


def remove_left_over() -> None:
    """After undo and load: an undo step or an automatic save may have been written while a scratch scene was open."""
    held = set().union(*(scratch._owned for scratch in _open))
    _remove([data for data in _marked() if data.session_uid not in held])


def _marked() -> Iterator[bpy.types.ID]:
    for kind in ("scenes", "collections", "objects", "meshes", "armatures", "shape_keys"):
        yield from (data for data in getattr(bpy.data, kind) if MARK in data)


def _remove(ids: list[bpy.types.ID]) -> None:
    if ids:
        with _quiet():
            # Not scenes.remove(): it crashes Blender 4.3 where it runs a --command, which has no window.
            bpy.data.batch_remove(ids)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    global _busy
    _busy += 1
    try:
        yield
    finally:
        _busy -= 1


def _take_settings(scene: bpy.types.Scene, scratch: bpy.types.Scene, *, viewport: bool) -> None:
    """What the evaluation of a frame depends on."""
    for name in _RENDER:
        setattr(scratch.render, name, getattr(scene.render, name))
    if not viewport:
        scratch.render.simplify_subdivision = scene.render.simplify_subdivision_render
    scratch.unit_settings.system = scene.unit_settings.system
    scratch.unit_settings.scale_length = scene.unit_settings.scale_length
    scratch.use_gravity, scratch.gravity = scene.use_gravity, scene.gravity
    scratch.frame_start, scratch.frame_end = scene.frame_start, scene.frame_end


def _armatures(obj: bpy.types.Object) -> Iterator[bpy.types.Object]:
    """All that pose the object: its Armature modifiers', and those among its parents."""
    for modifier in obj.modifiers:
        if modifier.type == "ARMATURE" and modifier.object is not None:
            yield modifier.object
    parent = obj.parent
    while parent is not None:
        if parent.type == "ARMATURE":
            yield parent
        parent = parent.parent


def _point_to_copies(copy: bpy.types.Object, copies: dict[bpy.types.Object, bpy.types.Object]) -> None:
    """Parents, and what modifiers and constraints refer to, are the copies, which have the settings of a render."""
    if copy.parent in copies:
        inverse = copy.matrix_parent_inverse.copy()
        copy.parent = copies[copy.parent]
        copy.matrix_parent_inverse = inverse
    for owner in (*copy.modifiers, *copy.constraints):
        for prop in owner.bl_rna.properties:
            if prop.type == "POINTER" and not prop.is_readonly:
                value = getattr(owner, prop.identifier)
                if isinstance(value, bpy.types.Object) and value in copies:
                    setattr(owner, prop.identifier, copies[value])
        for target in getattr(owner, "targets", ()):
            if target.target in copies:
                target.target = copies[target.target]
        if owner.bl_rna.identifier == "NodesModifier":
            _point_inputs_to_copies(owner, copies)


def _point_inputs_to_copies(
    modifier: bpy.types.NodesModifier, copies: dict[bpy.types.Object, bpy.types.Object]
) -> None:
    if hasattr(modifier, "properties"):  # Blender 5.2 and later
        inputs = modifier.properties.inputs
        for prop in inputs.bl_rna.properties:
            entry = getattr(inputs, prop.identifier)
            value = getattr(entry, "value", None)
            if isinstance(value, bpy.types.Object) and value in copies:
                entry.value = copies[value]
        return
    for name, value in list(modifier.items()):
        if isinstance(value, bpy.types.Object) and value in copies:
            modifier[name] = copies[value]
