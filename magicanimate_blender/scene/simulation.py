"""Simulations on a character's meshes: which frames they depend on, and whether they are baked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import bpy

from .errors import Note, SceneError

_CACHED = {"CLOTH", "SOFT_BODY"}


def baked_simulation(obj: bpy.types.Object) -> bool:
    """Whether the mesh reads a baked cache, which belongs to this very object."""
    return any(_is_baked(modifier) for modifier in _simulated(obj)) or _has_simulation_nodes(obj)


def unbaked_start(objects: Iterable[bpy.types.Object]) -> int | None:
    """First frame of the earliest simulation that is not baked; None if there is none.

    Such a simulation is only right if all frames from there are evaluated in turn.
    """
    starts = [m.point_cache.frame_start for obj in objects for m in _simulated(obj) if not _is_baked(m)]
    return min(starts, default=None)


def simulation_notes(objects: Iterable[bpy.types.Object]) -> list[Note]:
    """What to know of simulations that are not baked: they take their time."""
    return [
        Note(
            f"“{modifier.name}” of “{obj.name}” is not baked: it is simulated from frame "
            f"{modifier.point_cache.frame_start} on while part maps are drawn.",
            "To draw faster, and the same as in renders, bake it (Physics > Cache > Bake).",
        )
        for obj in objects
        for modifier in _simulated(obj)
        if not _is_baked(modifier)
    ]


def require_simulations(scene: bpy.types.Scene, objects: Iterable[bpy.types.Object]) -> None:
    """SceneError for simulations that cannot be evaluated apart from their scene."""
    for obj in objects:
        if obj.rigid_body is not None and obj.rigid_body.type == "ACTIVE" and not obj.rigid_body.kinematic:
            raise SceneError(
                f"“{obj.name}” is moved by a rigid body simulation, which part maps cannot follow.",
                "Select it and choose Object > Rigid Body > Bake To Keyframes, or set its role to Ignore.",
                code="rigid-body",
            )


def _simulated(obj: bpy.types.Object) -> Iterator[bpy.types.Modifier]:
    return (m for m in obj.modifiers if m.type in _CACHED and m.show_render)


def _is_baked(modifier: bpy.types.Modifier) -> bool:
    cache = modifier.point_cache
    return bool(cache.is_baked or cache.use_external)


def _has_simulation_nodes(obj: bpy.types.Object) -> bool:
    return any(m.type == "NODES" and m.show_render and _simulates(m.node_group) for m in obj.modifiers)


def _simulates(group: bpy.types.NodeTree | None) -> bool:
    return group is not None and any(
        node.bl_idname == "GeometryNodeSimulationInput" or _simulates(getattr(node, "node_tree", None))
        for node in group.nodes
    )
