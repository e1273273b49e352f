"""What drawing part maps costs the window: `python -m benchmarks.drawing [--frames 24 250]` prints JSON.

A character of 20,000 vertices with shape keys, cloth and the default Subdivision Surface (viewport 1, render 2) is
drawn once as fast as it goes, and once a turn of the timer at a time, as in Blender's window:

    ratio            wait in turns / wait of the computation alone, of the same frames in the same run
    longest_turn_ms  the longest share of Blender's main thread that one turn took
    idle_ms          one beat of the timer with nothing to do and the sidebar closed, after the scene changed
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import bpy
import numpy as np

import magicanimate_blender
from magicanimate_blender.scene.characters import Character, find_characters
from magicanimate_blender.scene.evaluate import GeometryCache
from magicanimate_blender.scene.part_maps import FrameReader
from magicanimate_blender.scene.sample_character import add_sample_scene
from magicanimate_blender.ui import drawing, geometry, runtime, scene_facts, timer

SIZE = (512, 512)


class Consumer:
    """Takes maps as a job does, and keeps none."""

    def wants_maps(self) -> bool:
        return True

    def add_map(self, frame: int, png: bytes) -> None:
        self.last = frame

    def cancel(self) -> None:
        raise RuntimeError("the drawing failed")


def make_character(subdivision: bool) -> tuple[bpy.types.Scene, Character]:
    """The sample character in a loose suit: 20,000 vertices in all, with shape keys and a strip of cloth."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    scene = bpy.context.scene
    armature = add_sample_scene(scene)
    body = next(obj for obj in scene.objects if obj.type == "MESH")
    suit = body.copy()
    suit.data, suit.name = body.data.copy(), "Suit"
    scene.collection.objects.link(suit)
    bpy.context.view_layer.objects.active = suit
    coarse = suit.modifiers.new("Coarse", "DECIMATE")
    coarse.ratio = 0.5
    suit.modifiers.move(len(suit.modifiers) - 1, 0)
    bpy.ops.object.modifier_apply(modifier="Coarse")
    body.shape_key_add(name="Basis")
    key = body.shape_key_add(name="Breath")
    for frame, value in ((1, 0.0), (24, 1.0)):
        key.value = value
        key.keyframe_insert("value", frame=frame)
    bpy.ops.mesh.primitive_cone_add(vertices=48, radius1=0.45, radius2=0.2, depth=0.5, end_fill_type="NOTHING")
    skirt = bpy.context.object
    skirt.parent, skirt.location = armature, (0, 0, 0.1)
    skirt.modifiers.new("Cloth", "CLOTH").point_cache.frame_end = 250
    if subdivision:
        for obj in (body, suit, skirt):
            obj.modifiers.new("Subdivision", "SUBSURF")
    (character,) = find_characters(scene)
    return scene, character


def alone(scene: bpy.types.Scene, character: Character, frames: range) -> float:
    """Seconds for the frames as fast as they go, with as many threads as the window has."""
    begin = time.perf_counter()
    reader = FrameReader(scene, [character], *SIZE, GeometryCache())
    with ThreadPoolExecutor(drawing.WORKERS) as pool:
        waiting = []
        for frame in frames:
            waiting.append(pool.submit(drawing._draw, reader.read(frame)))
            if len(waiting) > drawing.AHEAD:
                waiting.pop(0).result()
        for future in waiting:
            future.result()
    reader.close()
    return time.perf_counter() - begin


def in_turns(scene: bpy.types.Scene, character: Character, frames: range) -> tuple[float, list[float]]:
    """Seconds for the same, a turn at a time, and what each turn took of the main thread."""
    geometry.forget()
    begin, turns = time.perf_counter(), []
    job = drawing.Drawing(scene, [character], frames, SIZE, [Consumer()])
    while not job.done:
        turn = time.perf_counter()
        job.work()
        turns.append(time.perf_counter() - turn)
        time.sleep(max(timer.DRAWING, 0.001))
    if job.error is not None:
        raise job.error
    return time.perf_counter() - begin, turns


def idle(scene: bpy.types.Scene) -> float:
    """Median seconds of a beat with the sidebar closed, the scene having changed before each."""
    runtime.runtime()
    times = []
    for _ in range(50):
        scene_facts.mark_changed(scene)
        begin = time.perf_counter()
        timer.tick()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[24, 250])
    parser.add_argument("--no-subdivision", action="store_true")
    arguments = parser.parse_args()
    bpy.ops.preferences.addon_enable(module=magicanimate_blender.__name__)
    scene, character = make_character(not arguments.no_subdivision)
    vertices = sum(len(bpy.data.objects[name].data.vertices) for name in character.meshes)
    found: dict[str, object] = {"vertices": vertices, "idle_ms": round(1000 * idle(scene), 3)}
    for count in arguments.frames:
        wait = alone(scene, character, range(1, count + 1))
        total, turns = in_turns(scene, character, range(1, count + 1))
        found[f"{count} maps"] = {
            "alone_s": round(wait, 1),
            "in_turns_s": round(total, 1),
            "ratio": round(total / wait, 2),
            "longest_turn_ms": round(1000 * max(turns)),
            "turn_p95_ms": round(1000 * float(np.percentile(turns, 95))),
        }
    print(json.dumps(found, indent=1))
    bpy.ops.preferences.addon_disable(module=magicanimate_blender.__name__)


if __name__ == "__main__":
    main()
