"""The character changes under Export Part Maps: an undo, then all of its bones are deleted."""

from pathlib import Path

import artist
import bpy
import harness

FRAMES = 36


def steps() -> harness.Steps:
    yield from artist.open_sidebar()
    yield from artist.connect()
    scene = yield from artist.add_demo()
    scene.frame_end = scene.frame_start + FRAMES - 1

    whole = yield from export("whole")
    yield from harness.until(ended, 400, "the export")
    assert len(pictures(whole)) == FRAMES

    with harness.override():
        bpy.ops.ed.undo_push(message="Something else")
        scene.timeline_markers.new("edit", frame=3)
        bpy.ops.ed.undo_push(message="Edit")
    undone = yield from export("undone")
    harness.hover()
    harness.press("ctrl+z")
    yield from harness.until(lambda: "edit" not in harness.window().scene.timeline_markers, 20, "undo")
    yield from harness.until(ended, 400, "the export that went on after undo")
    assert pictures(undone) == pictures(whole)

    boneless = yield from export("boneless")
    delete_bones(harness.window().scene)
    yield from harness.until(ended, 400, "the export without bones")
    yield 2.0
    harness.screenshot("boneless")
    written = pictures(boneless)
    assert written == {name: pictures(whole)[name] for name in written}, "a picture of another pose was written"
    assert len(written) < FRAMES


def export(name: str) -> harness.Steps:
    """Begin an export, and wait for its first pictures."""
    folder = harness.OUT.parent / name
    with harness.override():
        bpy.ops.magicanimate.export_maps("EXEC_DEFAULT", directory=str(folder))
    yield from harness.until(lambda: len(pictures(folder)) > 5, 60, "some pictures")
    assert not ended()
    return folder


def ended() -> bool:
    return not any(operator.bl_idname.endswith("export_maps") for operator in harness.window().modal_operators)


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def delete_bones(scene: bpy.types.Scene) -> None:
    armature = next(obj for obj in scene.objects if obj.type == "ARMATURE")
    harness.window().view_layer.objects.active = armature
    with harness.override():
        bpy.ops.object.mode_set(mode="EDIT")
        bpy.ops.armature.select_all(action="SELECT")
        bpy.ops.armature.delete("EXEC_DEFAULT", True)
        bpy.ops.object.mode_set(mode="OBJECT")
    assert not armature.data.bones
