"""What an artist does while part maps are drawn: Tab into Edit Mode of the rig and of the body, and undo.

FRAMES part maps are sent after each, and first once with nothing in the way; the test compares them.
"""

import os

import artist
import bpy
import harness

FRAMES = int(os.environ["FRAMES"])


def steps() -> harness.Steps:
    yield from artist.open_sidebar()
    yield from artist.connect()
    yield from artist.add_demo()
    for way in (nothing, edit_armature, edit_mesh, undo):
        yield from artist.draw(scene(), FRAMES)
        job = artist.job(scene()).id
        yield from way()
        yield from harness.until(lambda: artist.state(scene()) == "RUNNING", 200, "the rest of the part maps")
        assert artist.job(scene()).id == job
        artist.job(scene()).cancel()
        yield from harness.until(lambda: artist.state(scene()) == "CANCELLED", 60, "its end")


def scene() -> bpy.types.Scene:
    """Asked for each time: undo exchanges it."""
    return harness.window().scene


def nothing() -> harness.Steps:
    yield 0.0


def edit_armature() -> harness.Steps:
    yield from edit("ARMATURE")


def edit_mesh() -> harness.Steps:
    yield from edit("MESH")


def edit(kind: str) -> harness.Steps:
    edited = next(obj for obj in scene().objects if obj.type == kind)
    harness.window().view_layer.objects.active = edited
    harness.hover()
    harness.press("Tab")
    yield from harness.until(lambda: edited.mode == "EDIT", 20, "Edit Mode")
    yield 1.0
    drawn = artist.now(scene()).step
    yield 4.0
    harness.screenshot(f"paused_in_edit_mode_of_{kind.lower()}")
    assert artist.now(scene()).step == drawn < FRAMES, (artist.now(scene()), drawn)
    (drawing,) = artist.addon("ui.runtime").runtime().drawings
    assert edited.name in drawing.waiting.message, drawing.waiting
    assert "Edit Mode" in drawing.waiting.message, drawing.waiting
    assert edited.mode == "EDIT"
    harness.hover()
    harness.press("Tab")
    yield from harness.until(lambda: edited.mode == "OBJECT", 20, "Object Mode")


def undo() -> harness.Steps:
    """Takes back two edits, one after the other."""
    markers = ("first", "second")
    with harness.override():
        bpy.ops.ed.undo_push(message="Before")
        for name in markers:
            scene().timeline_markers.new(name, frame=3)
            bpy.ops.ed.undo_push(message=name)
    for name in reversed(markers):
        harness.hover()
        harness.press("ctrl+z")
        yield from harness.until(lambda name=name: name not in scene().timeline_markers, 20, "undo")
    harness.screenshot("after_undo")
