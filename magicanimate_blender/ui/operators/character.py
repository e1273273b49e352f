"""The character: the sample one, labels, roles, the camera."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import bpy

from ...densepose.errors import DensePoseError
from ...densepose.labels import LABELS
from ...scene.attribute import paint_labels
from ...scene.framing import frame_camera
from ...scene.labels import label_characters
from ...scene.own_camera import own_camera
from ...scene.roles import set_role
from ...scene.sample_character import add_sample_character
from .. import scene_facts
from ..engines import engine_for, known_engines, output_size, weights_for
from ..request import characters_of, frames_of
from .common import tells_errors

SAMPLED_FRAMES = 24
"""Frames at which the character is looked at to fit the camera: enough for its whole movement."""


class MAGICANIMATE_OT_add_sample_character(bpy.types.Operator):
    bl_idname = "magicanimate.add_sample_character"
    bl_label = "MagicAnimate Sample Character"
    bl_description = "Add a rigged body that walks in place and waves"
    bl_options = {"REGISTER", "UNDO"}

    kind: bpy.props.EnumProperty(
        name="Body", items=[("male", "Male", "A man's body"), ("female", "Female", "A woman's body")]
    )
    action: bpy.props.BoolProperty(name="Action", description="Give it the walking and waving action", default=True)

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        add_sample_character(context.scene, self.kind, self.action)
        scene_facts.look_again(context.scene)
        return {"FINISHED"}


class MAGICANIMATE_OT_label(bpy.types.Operator):
    bl_idname = "magicanimate.label"
    bl_label = "Label Body Parts"
    bl_description = "Give every face of the character the body part it belongs to, by its bone weights"
    bl_options = {"REGISTER", "UNDO"}

    relabel: bpy.props.BoolProperty(
        name="All Again", description="Also meshes that have labels, even if they were painted by hand"
    )

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        for report in label_characters(characters_of(context.scene), self.relabel):
            for note in report.notes:
                self.report({"WARNING"}, f"{note.message} {note.fix}")
            count = len(report.labelled)
            self.report(
                {"INFO"}, f"{report.armature}: {count} mesh{'es' if count != 1 else ''} labelled ({report.family})"
            )
        scene_facts.look_again(context.scene)
        return {"FINISHED"}


class MAGICANIMATE_OT_paint_label(bpy.types.Operator):
    bl_idname = "magicanimate.paint_label"
    bl_label = "Label Selected Faces"
    bl_description = "Give the selected faces of the active mesh a body part by hand"
    bl_options = {"REGISTER", "UNDO"}

    label: bpy.props.EnumProperty(
        name="Body Part", items=[(str(row.label), row.name.replace("_", " ").title(), "") for row in LABELS]
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.object is not None and context.object.type == "MESH"

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        count = paint_labels(context.object, int(self.label))
        self.report({"INFO"}, f"{count} faces labelled")
        return {"FINISHED"}


class MAGICANIMATE_OT_set_role(bpy.types.Operator):
    bl_idname = "magicanimate.set_role"
    bl_label = "Part Map Role"
    bl_description = "What the selected objects are in the part map"
    bl_options = {"REGISTER", "UNDO"}

    role: bpy.props.EnumProperty(
        name="Role",
        items=[
            ("body", "Body", "Takes body parts: skin, clothes, hair, things worn"),
            ("occlude", "Hide What Is Behind", "Drawn as background before the character: a table, a wall"),
            ("ignore", "Ignore", "Not drawn at all"),
        ],
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(context.selected_objects)

    def execute(self, context: bpy.types.Context) -> set[str]:
        for each in context.selected_objects:
            if each.type != "ARMATURE":
                set_role(each, self.role)
        scene_facts.look_again(context.scene)
        return {"FINISHED"}


class MAGICANIMATE_OT_frame_camera(bpy.types.Operator):
    bl_idname = "magicanimate.frame_camera"
    bl_label = "Frame Character"
    bl_description = (
        "Make a camera that sees the character fill the picture over all frames, as the network knows it. "
        "Your own cameras and the size of renders stay as they are"
    )
    bl_options = {"REGISTER", "UNDO"}

    crop: bpy.props.EnumProperty(
        name="Show",
        items=[("full", "Whole Body", "With the feet"), ("knees", "Knees Up", "Cut below the knees: a larger face")],
    )
    face: bpy.props.BoolProperty(
        name="From the Front",
        description="Look at the front of the body; else keep the camera's direction",
        default=True,
    )
    camera: bpy.props.EnumProperty(
        name="Camera",
        items=[
            ("OWN", "One of Its Own", "Make MagicAnimate's own camera active; your cameras are left alone"),
            ("ACTIVE", "Active Camera", "Move the scene's camera"),
        ],
        options={"SKIP_SAVE"},
    )
    set_resolution: bpy.props.BoolProperty(
        name="Match the Video's Proportions",
        description="Give the scene's renders the proportions of the video; else they show more at two sides",
        default=False,
        options={"SKIP_SAVE"},
    )

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = context.scene
        characters, frames = characters_of(scene), frames_of(scene)
        size, before = video_size(scene), scene.camera
        with _all_or_nothing(scene):
            if self.set_resolution:
                _match_proportions(scene, size)
            if self.camera == "OWN" or before is None:
                own_camera(scene, size)
            some = frames[:: max(1, len(frames) // SAMPLED_FRAMES)]
            frame_camera(scene, characters, some, self.crop, self.face, size=size)
        if before is not None and before != scene.camera:
            self.report({"INFO"}, f"“{scene.camera.name}” is the active camera now; “{before.name}” is as it was")
        scene_facts.look_again(scene)
        return {"FINISHED"}


def video_size(scene: bpy.types.Scene) -> tuple[int, int]:
    chosen = scene.magicanimate
    return output_size(chosen, weights_for(chosen, engine_for(chosen, known_engines())))


@contextlib.contextmanager
def _all_or_nothing(scene: bpy.types.Scene) -> Iterator[None]:
    """Take back what was set up for a framing that fails: a new camera, another active one, another resolution."""
    render, camera, cameras = scene.render, scene.camera, set(bpy.data.cameras)
    resolution = render.resolution_x, render.resolution_y
    try:
        yield
    except DensePoseError:
        scene.camera = camera
        render.resolution_x, render.resolution_y = resolution
        for made in set(bpy.data.cameras) - cameras:
            bpy.data.cameras.remove(made)  # with its object
        raise


def _match_proportions(scene: bpy.types.Scene, size: tuple[int, int]) -> None:
    """Keep the longer side of the render."""
    render = scene.render
    longer = max(render.resolution_x, render.resolution_y)
    if render.resolution_x * size[1] != render.resolution_y * size[0]:
        render.resolution_x, render.resolution_y = (round(longer * side / max(size)) for side in size)


def menu(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    """In Add > Armature."""
    self.layout.separator()
    self.layout.operator_menu_enum(MAGICANIMATE_OT_add_sample_character.bl_idname, "kind", icon="ARMATURE_DATA")


CLASSES = (
    MAGICANIMATE_OT_add_sample_character,
    MAGICANIMATE_OT_label,
    MAGICANIMATE_OT_paint_label,
    MAGICANIMATE_OT_set_role,
    MAGICANIMATE_OT_frame_camera,
)
