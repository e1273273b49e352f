"""Delete a result by its button: the dialog, one step of undo with Ctrl Z, and redo. Needs no server."""

import time
import uuid
from pathlib import Path

import artist
import bpy
import harness
import numpy as np

SIZE, FRAMES = 64, 4


def steps() -> harness.Steps:
    yield from artist.open_sidebar()
    scene = harness.window().scene
    runtime, uses_of = artist.addon("ui.runtime").runtime(), artist.addon("results").uses_of
    job = make_result(runtime, scene)
    folder = runtime.animations.history.folder(job).path
    bpy.ops.magicanimate.use_result(job=job, kind="CURSOR")
    yield from harness.until(lambda: uses_of(job).planes == 1, 60, "the plane")
    scene.collection.objects.link(bpy.data.objects.new("Made before", None))
    bpy.ops.ed.undo_push(message="Add")
    files = contents(folder)

    place = yield from harness.scroll_to_button("magicanimate.delete_result", across=0.75)
    harness.click(*place)
    yield 2.0
    harness.screenshot("1_dialog")
    assert contents(folder) == files, "it was deleted without a question"
    harness.press("Return")
    yield from harness.until(lambda: not uses_of(job), 20, "the result to be taken out")
    assert not folder.exists()
    harness.screenshot("2_deleted")

    harness.hover()
    harness.press("ctrl+z")
    yield from harness.until(lambda: uses_of(job).planes == 1, 20, "undo")
    assert "Made before" in bpy.data.objects, "undo took back the edit before, too"
    assert contents(folder) == files
    yield from harness.until(lambda: job in [record.id for record in runtime.records()], 20, "the list of results")
    harness.screenshot("3_undone")

    harness.hover()
    harness.press("ctrl+shift+z")
    yield from harness.until(lambda: not uses_of(job), 20, "redo")
    assert not folder.exists()
    harness.hover()
    harness.press("ctrl+z")
    yield from harness.until(lambda: uses_of(job).planes == 1, 20, "undo again")
    assert contents(folder) == files


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def make_result(runtime, scene: bpy.types.Scene) -> str:
    """A finished result on disk, as if it had been animated in this scene."""
    animation, encode_rgb = artist.addon("animation"), artist.addon("raster.png").encode_rgb
    spec = animation.JobSpec(
        engine="magicanimate", weights="demo", reference="0" * 64, frames=FRAMES, width=SIZE, height=SIZE, fps=24.0,
        settings={"seed": 1}, consent=True, name="Walk", frame_start=1, frame_step=1,
    )  # fmt: skip
    record = animation.Record(str(uuid.uuid4()), spec, animation.State.DONE, time.time(), demo_weights=True)
    folder = runtime.animations.history.folder(record.id)
    record.save(folder)
    folder.frames.mkdir()
    for frame in range(FRAMES):
        folder.frame(frame).write_bytes(encode_rgb(np.full((SIZE, SIZE, 3), 60 * frame, np.uint8)))
    artist.addon("ui.settings").remember_job(scene, record.id)
    runtime.forget_records()
    return record.id
