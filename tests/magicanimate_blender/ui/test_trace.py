"""What starts, compares, previews or exports leaves nothing in the file that the artist could have set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import bpy
import numpy as np
import pytest

from magicanimate_blender.animation import State
from magicanimate_blender.scene.characters import find_characters
from magicanimate_blender.scene.sample_character import add_sample_character
from magicanimate_blender.ui import live_preview, scene_facts

COLLECTIONS = (
    "scenes", "collections", "objects", "meshes", "armatures", "shape_keys", "cameras", "lights", "actions",
    "materials", "worlds", "node_groups", "images", "libraries",
)  # fmt: skip
OURS = {"magicanimate", "dp_label"}
INTERNAL = {"rna_type", "tag"}
"""Blender's own notes, which no file holds."""
ARRAYS = {
    "vertices", "edges", "loops", "polygons", "attributes", "loop_triangles", "loop_triangle_polygons",
    "corner_normals",
}  # fmt: skip
"""Of meshes: hashed as arrays."""


def trace() -> dict[str, str]:
    """Every property of all data, by its path; data as such by its name and number of users."""
    found: dict[str, str] = {}
    for kind in COLLECTIONS:
        for data in getattr(bpy.data, kind):
            path = f"{kind}[{data.name_full}]"
            found[path] = str(data.users)
            found.update(_properties(data, path, set()))
            if kind == "meshes":
                positions = np.empty(len(data.vertices) * 3, np.float32)
                data.vertices.foreach_get("co", positions)
                found[f"{path}.positions"] = hashlib.sha256(positions.tobytes()).hexdigest()
                found[f"{path}.attributes"] = str(sorted({a.name for a in data.attributes} - OURS))
    context = bpy.context
    found["active"] = str(context.view_layer.objects.active)
    found["selected"] = str(sorted(obj.name_full for obj in context.view_layer.objects if obj.select_get()))
    found["hidden"] = str(sorted(obj.name_full for obj in context.view_layer.objects if obj.hide_get()))
    found["modes"] = str([(obj.name_full, obj.mode) for obj in bpy.data.objects])
    return found


def _properties(owner: Any, path: str, seen: set[int]) -> Iterator[tuple[str, str]]:
    if owner.as_pointer() in seen:
        return
    seen.add(owner.as_pointer())
    for prop in owner.bl_rna.properties:
        name = prop.identifier
        if name in INTERNAL or name in OURS or (name in ARRAYS and isinstance(owner, bpy.types.Mesh)):
            continue
        try:
            value = getattr(owner, name)
        except (AttributeError, RuntimeError, TypeError):
            continue
        here = f"{path}.{name}"
        if prop.type == "COLLECTION":
            for number, item in enumerate(value):
                if isinstance(item, bpy.types.ID):
                    yield f"{here}[{number}]", item.name_full
                elif hasattr(item, "bl_rna"):
                    yield from _properties(item, f"{here}[{number}]", seen)
        elif prop.type == "POINTER":
            if isinstance(value, bpy.types.ID):
                yield here, value.name_full
            elif value is not None and hasattr(value, "bl_rna"):
                yield from _properties(value, here, seen)
        elif not prop.is_readonly:
            yield here, str(tuple(_flat(value)) if getattr(prop, "is_array", False) else value)
    if hasattr(owner, "keys") and isinstance(owner, bpy.types.ID | bpy.types.PoseBone):
        for key in owner.keys():  # noqa: SIM118
            if not key.startswith("magicanimate"):
                yield f"{path}[{key!r}]", str(owner[key])


def _flat(value: Any) -> Iterator[Any]:
    for item in value:
        if hasattr(item, "__iter__"):
            yield from _flat(item)
        else:
            yield item


@pytest.fixture
def full_stage(stage, tmp_path):
    """The stage with a bit of everything, at frame 3, and a change without keyframes on everything animated."""
    scene = stage
    armature, body = scene.objects["Sample Female"], scene.objects["Sample Female Body"]
    library = tmp_path / "library.blend"
    extra = bpy.data.collections.new("Extra")
    scene.collection.children.link(extra)
    actor = add_sample_character(scene, "male")
    actor.location.x = 2.0
    for obj in (actor, *actor.children):
        extra.objects.link(obj)
        for collection in [c for c in obj.users_collection if c != extra]:
            collection.objects.unlink(obj)
    bpy.data.libraries.write(str(library), {extra}, fake_user=True)
    for obj in list(extra.objects):
        bpy.data.objects.remove(obj)
    bpy.data.collections.remove(extra)
    for override in (False, True):
        with bpy.data.libraries.load(str(library), link=True) as (_, target):
            target.collections = ["Extra"]
        (linked,) = target.collections
        if override:
            linked.override_hierarchy_create(scene, bpy.context.view_layer)
        else:
            scene.collection.children.link(linked)

    light = bpy.data.objects.new("Light", bpy.data.lights.new("Light", "POINT"))
    scene.collection.objects.link(light)
    body.shape_key_add(name="Basis")
    body.shape_key_add(name="Fat")
    driven = body.shape_key_add(name="Driven")
    driven.driver_add("value").driver.expression = "frame * 0.1"
    armature["IK"] = armature.pose.bones["head"]["stretch"] = 0.0
    target = armature.constraints.new("TRACK_TO")
    target.target, target.influence = light, 0.0
    scene.camera.constraints.new("LIMIT_LOCATION")
    animated = [
        (light.data, "energy"), (light, "location"), (scene.camera, "location"), (scene.camera.data, "lens"),
        (body.data.shape_keys.key_blocks["Fat"], "value"), (armature, '["IK"]'), (armature.constraints[0], "influence"),
        (armature.pose.bones["head"], '["stretch"]'), (armature.pose.bones["head"], "location"),
    ]  # fmt: skip
    for owner, path in animated:
        for frame in (1, 4):
            owner.keyframe_insert(path, frame=frame)
    cloth = body.modifiers.new("Cloth", "CLOTH")
    cloth.point_cache.frame_end = 4
    levels = body.modifiers.new("Subdivision", "SUBSURF")
    assert (levels.levels, levels.render_levels) == (1, 2)
    scene.magicanimate.character = armature
    scene.magicanimate.then = "NOTHING"
    scene.frame_set(3)
    bpy.context.view_layer.update()
    light.data.energy, light.location.x, scene.camera.data.lens = 7.0, 5.0, 41.0
    body.data.shape_keys.key_blocks["Fat"].value = 0.3
    armature["IK"] = armature.pose.bones["head"]["stretch"] = 0.7
    armature.constraints[0].influence = 0.0
    armature.pose.bones["head"].location.z = 0.05
    bpy.context.view_layer.objects.active = light
    light.select_set(True)
    body.hide_set(True)
    find_characters(scene)
    return scene


def run(what: str, stage, current, finish, until, tmp_path) -> None:
    if what == "animate":
        bpy.ops.magicanimate.animate("EXEC_DEFAULT", True)
    elif what == "preview":
        bpy.ops.magicanimate.preview_frame("EXEC_DEFAULT", True)
    elif what == "regenerate":
        bpy.ops.magicanimate.regenerate("EXEC_DEFAULT", True, job=next(iter(current.records())).id)
    elif what == "what changed":
        base = next(iter(current.records())).id
        bpy.ops.magicanimate.check_changes("EXEC_DEFAULT", True, job=base)
        until(lambda: not current.drawings)
        assert "raw" not in current.plans[base]  # Drawing part maps ... has become an answer
        return
    elif what == "export":
        bpy.ops.magicanimate.export_maps("EXEC_DEFAULT", True, directory=str(tmp_path / "maps"))
        assert len(list((tmp_path / "maps").glob("*.png"))) == 4
        return
    elif what == "live preview":
        stage.magicanimate.live_preview = True
        live_preview.mark_changed()
        live_preview._changed_at -= 10
        live_preview.consider(current, stage)
        stage.magicanimate.live_preview = False
    elif what == "panel":
        scene_facts.look_again(stage)
        return
    animation = list(current.animations.poll())[-1][0]
    assert finish(animation).state is State.DONE


@pytest.mark.parametrize(
    "what", ["animate", "preview", "regenerate", "what changed", "export", "live preview", "panel"]
)
def test_no_trace_is_left(full_stage, current, finish, until, tmp_path, what):
    if what in ("regenerate", "what changed"):
        run("animate", full_stage, current, finish, until, tmp_path)
    full_stage.magicanimate.live_preview = False
    full_stage["artist"] = "first"
    bpy.ops.ed.undo_push(message="first")
    full_stage["artist"] = "second"
    bpy.ops.ed.undo_push(message="second")
    before = trace()
    assert len(before) > 2000
    run(what, full_stage, current, finish, until, tmp_path)
    bpy.context.view_layer.update()
    after = trace()
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert {key: (before.get(key), after.get(key)) for key in changed} == {}
    bpy.ops.ed.undo()
    assert bpy.context.scene["artist"] == "first"
