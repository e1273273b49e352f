"""One frame of the scene as arrays: world positions, triangles and part labels of the characters' surfaces."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

import bpy
import numpy as np

from ..densepose.labels import LABELS, MIRROR
from .attribute import has_labels, is_labelled, labels_missing, read_labels
from .borders import CutMesh, cut_meshes
from .carried import dropped_labels, labels_in_viewport
from .characters import Character, get_object
from .errors import SceneError
from .identity import key_of
from .mirrored import mirror_modifiers, sides_at_rest
from .nearest import nearest_labels
from .render_state import rendered_objects
from .scratch import is_scratch

_SIDE = np.array([("left" in row.name) - ("right" in row.name) for row in LABELS], np.int8)


@dataclass(frozen=True)
class FrameGeometry:
    """What is drawn of one frame. Plain arrays: safe to hand to a thread.

    positions: (V, 3) float32, world space, metres. triangles: (T, 3) int32. labels: (T,) uint8, 0..24; 0 hides what is
    behind it. owners: (T,) int16, the number of each triangle's character in the sequence that was asked for.
    """

    positions: np.ndarray
    triangles: np.ndarray
    labels: np.ndarray
    owners: np.ndarray


@dataclass(frozen=True)
class _Topology:
    """Triangulation of an evaluated mesh, good as long as its corners stay the same."""

    corners: np.ndarray
    starts: np.ndarray
    triangles: np.ndarray
    face_of_triangle: np.ndarray
    cut: CutMesh | None  # where the faces are those of the original: cut along the borders of the parts


@dataclass
class GeometryCache:
    """What stays the same from frame to frame. Keep one for a run over frames; throw it away with it.

    cut_borders: draw smooth borders, which takes half a second to prepare; not needed to measure.
    """

    cut_borders: bool = True
    topologies: dict[Hashable, _Topology] = field(default_factory=dict)
    left_faces: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)
    carried: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)
    cuts: dict[Character, dict[str, CutMesh]] = field(default_factory=dict)
    measured: set[tuple[str, bool]] = field(default_factory=set)
    instance_labels: dict[Hashable, int] = field(default_factory=dict)


@dataclass
class _Piece:
    positions: np.ndarray
    triangles: np.ndarray
    labels: np.ndarray
    unlabelled_instance: Hashable = None
    owner: int = 0


def extract(
    scene: bpy.types.Scene,
    depsgraph: bpy.types.Depsgraph,
    characters: Sequence[Character],
    cache: GeometryCache | None = None,
    drawing: bool = False,
) -> FrameGeometry:
    """The characters as the depsgraph shows them now, about 10 ms a frame with a cache. Main thread only.

    depsgraph: a ScratchScene's, for what a render draws, or `scene`'s own, for what the viewport shows. hide_render of
    objects and collections is honoured, instances are drawn, all modifiers apply.
    drawing: within a draw handler, where nothing may be measured that the cache does not know.
    Raises SceneError if a mesh has no labels, a modifier dropped them, or nothing is left to draw.
    """
    cache = GeometryCache() if cache is None else cache
    body = {name: number for number, character in enumerate(characters) for name in character.meshes}
    occluders = {name: number for number, character in enumerate(characters) for name in character.occluders}
    owners = {**body, **occluders}
    if not drawing:
        _measure(scene, depsgraph, characters, cache)
    pieces: list[_Piece] = []
    unlabelled: list[str] = []
    for instance in _drawn_instances(depsgraph, set(owners)):
        name = key_of(instance.object.original)
        carrier = key_of(instance.parent.original) if instance.is_instance else name
        hides = name in occluders or (name not in body and carrier in occluders)
        piece = _piece(instance, hides, cache, unlabelled)
        if piece is not None:
            piece.owner = owners[name] if name in owners else owners[carrier]
            pieces.append(piece)
    if unlabelled:
        obj = get_object(unlabelled[0])
        raise dropped_labels(scene, obj) if is_labelled(obj) else labels_missing(obj)
    if not any(piece.labels.any() for piece in pieces):
        raise SceneError(
            "Nothing of the character is drawn in this frame: it has no faces, or it is hidden in renders.",
            "Switch on the camera icon of its body in the Outliner, or choose another character.",
            code="nothing-drawn",
        )
    _label_instances(pieces, cache)
    owner_of_triangle = np.concatenate([np.full(len(piece.triangles), piece.owner, np.int16) for piece in pieces])
    return FrameGeometry(*_joined(pieces), owner_of_triangle)


def _joined(pieces: Sequence[_Piece]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(positions, triangles, labels) of the pieces as one mesh."""
    starts = np.cumsum([0] + [len(piece.positions) for piece in pieces[:-1]])
    return (
        np.concatenate([piece.positions for piece in pieces]),
        np.concatenate([p.triangles + start for p, start in zip(pieces, starts, strict=True)]).astype(np.int32),
        np.concatenate([piece.labels for piece in pieces]),
    )


def _measure(
    scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph, characters: Sequence[Character], cache: GeometryCache
) -> None:
    """What stays the same from frame to frame, as far as the cache does not know it."""
    viewport = not is_scratch(depsgraph.scene)
    objects = {key: get_object(key) for character in characters for key in character.meshes}
    mirrored = {key: obj for key, obj in objects.items() if mirror_modifiers(obj)}
    if any((key, viewport) not in cache.measured for key in mirrored):
        for key, left in sides_at_rest(scene, mirrored.values(), viewport=viewport).items():
            cache.left_faces[key, len(left)] = left
        cache.measured.update((key, viewport) for key in mirrored)
    beside = {key: obj for key, obj in objects.items() if viewport and not has_labels(obj.data) and is_labelled(obj)}
    if any((key, True) not in cache.measured for key in beside):
        for key, labels in labels_in_viewport(scene, beside.values()).items():
            cache.carried[key, len(labels)] = labels
        cache.measured.update((key, True) for key in beside)
    for character in characters:
        if cache.cut_borders and character not in cache.cuts:
            cache.cuts[character] = cut_meshes(character)


def _drawn_instances(depsgraph: bpy.types.Depsgraph, wanted: set[str]) -> Iterator[bpy.types.DepsgraphObjectInstance]:
    in_render = rendered_objects(depsgraph.view_layer)
    for instance in depsgraph.object_instances:
        obj = instance.object  # evaluated: whether it is hidden may be animated
        key = key_of(obj.original)
        if instance.is_instance:
            parent = instance.parent
            carrier = key_of(parent.original)
            if key not in wanted and carrier not in wanted:
                continue
            # A collection's instance keeps the camera icon of each object; geometry nodes instance hidden ones too.
            hidden = obj.hide_render and parent.instance_type == "COLLECTION"
            if not (hidden or parent.hide_render or carrier not in in_render):
                yield instance
        elif key in wanted and not obj.hide_render and key in in_render:
            yield instance


def _piece(
    instance: bpy.types.DepsgraphObjectInstance, hides: bool, cache: GeometryCache, unlabelled: list[str]
) -> _Piece | None:
    """The instance's surface; None where it has none. Adds to `unlabelled` what should have labels and has not."""
    obj = instance.object
    # Not to_mesh() of a mesh: for geometry that geometry nodes scatter it crashes Blender 4.2.
    mesh = obj.data if obj.type == "MESH" else obj.to_mesh()
    if mesh is None or not mesh.polygons:
        return None
    local = np.empty((len(mesh.vertices), 3), np.float32)
    mesh.attributes["position"].data.foreach_get("vector", local.ravel())
    matrix = np.array(instance.matrix_world, np.float32)
    positions = local @ matrix[:3, :3].T + matrix[:3, 3]
    key = key_of(obj.original)
    topology = _topology(key, mesh, cache)
    triangles = topology.triangles
    if hides:
        return _Piece(positions, triangles, np.zeros(len(triangles), np.uint8))
    carried = read_labels(mesh) if has_labels(mesh) else cache.carried.get((key, len(mesh.polygons)))
    if carried is not None:
        labels = _face_labels(key, carried, cache)
        if topology.cut is not None:
            return _Piece(topology.cut.positions(positions), triangles, topology.cut.labels(labels))
        return _Piece(positions, triangles, labels[topology.face_of_triangle])
    scattered = instance.is_instance and obj.original == instance.parent.original  # geometry, not an object
    if scattered or (instance.is_instance and not is_labelled(obj.original)):
        number = (key, tuple(instance.persistent_id))
        return _Piece(positions, triangles, np.zeros(len(triangles), np.uint8), unlabelled_instance=number)
    unlabelled.append(key)
    return None


def _face_labels(name: str, labels: np.ndarray, cache: GeometryCache) -> np.ndarray:
    if labels.min() < 0 or labels.max() >= len(LABELS):
        raise SceneError(
            f"“{name}” has faces with a part label outside of 0 to {len(LABELS) - 1}.",
            "Label the character again, or paint those faces with a label of the list.",
        )
    if any(known == name for known, _ in cache.left_faces):
        left = cache.left_faces.get((name, len(labels)))
        if left is None:
            raise SceneError(
                f"“{name}” has a Mirror modifier, and its faces change with the pose, so that left and right are lost.",
                "Apply the Mirror modifier, or move the Armature modifier below those that change faces.",
            )
        wrong = (_SIDE[labels] != 0) & ((_SIDE[labels] > 0) != left)
        labels = np.where(wrong, MIRROR[labels], labels)
    return labels.astype(np.uint8)


def _label_instances(pieces: list[_Piece], cache: GeometryCache) -> None:
    """Scattered pieces (buttons, hair cards) take the label of the nearest surface, found once and kept."""
    loose = [piece for piece in pieces if piece.unlabelled_instance is not None]
    if any(piece.unlabelled_instance not in cache.instance_labels for piece in loose):
        vertices, triangles, labels = _joined([piece for piece in pieces if piece.labels.any()])
        middles = np.stack([piece.positions.mean(0) for piece in loose])
        nearest = nearest_labels(middles, vertices, triangles, labels)
        for piece, label in zip(loose, nearest.tolist(), strict=True):
            cache.instance_labels.setdefault(piece.unlabelled_instance, label)
    for piece in loose:
        piece.labels = np.full(len(piece.triangles), cache.instance_labels[piece.unlabelled_instance], np.uint8)


def _topology(name: str, mesh: bpy.types.Mesh, cache: GeometryCache) -> _Topology:
    corners = np.empty(len(mesh.loops), np.int32)
    mesh.attributes[".corner_vert"].data.foreach_get("value", corners)
    starts = np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("loop_start", starts)
    key = (name, len(mesh.vertices), len(corners), len(starts))
    known = cache.topologies.get(key)
    if known is not None and np.array_equal(known.corners, corners) and np.array_equal(known.starts, starts):
        return known
    mesh.calc_loop_triangles()
    triangles: np.ndarray = np.empty((len(mesh.loop_triangles), 3), np.int32)
    mesh.loop_triangles.foreach_get("vertices", triangles.ravel())
    face_of_triangle: np.ndarray = np.empty(len(triangles), np.int32)
    mesh.loop_triangles.foreach_get("polygon_index", face_of_triangle)
    cut = next((cuts[name] for cuts in cache.cuts.values() if name in cuts), None)
    if cut is not None and cut.fits(corners, starts):
        triangles, face_of_triangle = cut.subdivision.triangles, cut.rest.face_of_triangle[cut.subdivision.source]
    else:
        cut = None
    cache.topologies[key] = topology = _Topology(corners, starts, triangles, face_of_triangle, cut)
    return topology
