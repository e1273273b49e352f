"""What can be done with a result."""

from __future__ import annotations

import textwrap

import bpy

from ... import results
from ...animation import Record
from ...client import ClientError
from ...densepose.errors import DensePoseError
from ...scene.errors import SceneError
from .. import clips, deletion, messages
from ..delivery import Delivery
from ..runtime import runtime
from .common import OfResult, tells_errors

DIALOG_WIDTH, DIALOG_LETTERS = 420, 68
"""Pixels at interface scale 1, and letters of a line that fit into them."""
FILLED = 0.9
"""How much of an editor its picture fills; the header needs some."""


class MAGICANIMATE_OT_use_result(OfResult, bpy.types.Operator):
    bl_idname = "magicanimate.use_result"
    bl_label = "Use"
    bl_description = "Put this result into the scene"
    bl_options = {"REGISTER"}  # the delivery makes the undo step

    kind: bpy.props.EnumProperty(
        name="As",
        items=[
            ("PLANE", "Plane in View", "A plane before the character that fills the camera's view", "IMAGE_PLANE", 0),
            ("CURSOR", "Plane at the Cursor", "A plane that stands on the 3D cursor", "CURSOR", 1),
            ("COMPOSITOR", "Compositor Nodes", "Over the render", "NODE_COMPOSITING", 2),
            ("STRIP", "Video Strip", "In the video sequencer", "SEQUENCE", 3),
            ("IMAGE", "Image Sequence", "A datablock for your own materials", "IMAGE_DATA", 4),
        ],
    )

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        delivery = Delivery(runtime(), self.record(context), context.scene, self.kind)
        if bpy.app.background:  # no timer runs
            delivery.finish()
        else:
            runtime().deliveries.append(delivery)
        return {"FINISHED"}


class MAGICANIMATE_OT_deliver(bpy.types.Operator):
    """The timer's, for the first delivery: an operator, because Blender makes an undo step of what one does."""

    bl_idname = "magicanimate.deliver"
    bl_label = "MagicAnimate Result"
    bl_options = {"INTERNAL", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            placed = runtime().deliveries.popleft().place()
        except (ClientError, DensePoseError) as error:
            messages.tell(error)
            placed = False
        return {"FINISHED"} if placed else {"CANCELLED"}


class MAGICANIMATE_OT_show_result(OfResult, bpy.types.Operator):
    bl_idname = "magicanimate.show_result"
    bl_label = "Show"
    bl_description = "Play this result in a window of its own"
    bl_options = {"REGISTER"}

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        show_side_by_side(context, [self.record(context)])
        return {"FINISHED"}


class MAGICANIMATE_OT_show_planes(bpy.types.Operator):
    bl_idname = "magicanimate.show_planes"
    bl_label = "Show in This View"
    bl_description = "Look through the camera with Material Preview: Solid shading shows no pictures on planes"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.space_data is not None and context.space_data.type == "VIEW_3D"

    def execute(self, context: bpy.types.Context) -> set[str]:
        view = context.space_data
        if view.shading.type not in ("MATERIAL", "RENDERED"):
            view.shading.type = "MATERIAL"
        if context.scene.camera is not None and view.region_3d is not None:
            view.region_3d.view_perspective = "CAMERA"
        return {"FINISHED"}


class MAGICANIMATE_OT_compare_results(OfResult, bpy.types.Operator):
    bl_idname = "magicanimate.compare_results"
    bl_label = "Compare"
    bl_description = "Play this result beside another one, in a window of its own"
    bl_options = {"REGISTER"}

    other: bpy.props.StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        other = runtime().animations.history.get(self.other)
        show_side_by_side(context, [self.record(context), other])
        return {"FINISHED"}


class MAGICANIMATE_OT_reveal_result(OfResult, bpy.types.Operator):
    bl_idname = "magicanimate.reveal_result"
    bl_label = "Open Folder"
    bl_description = "Show this result's frames, part maps and video in the file browser"
    bl_options = {"REGISTER"}

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        bpy.ops.wm.path_open(filepath=str(runtime().animations.history.folder(self.record(context).id).path))
        return {"FINISHED"}


class MAGICANIMATE_OT_delete_result(OfResult, bpy.types.Operator):
    bl_idname = "magicanimate.delete_result"
    bl_label = "Delete"
    bl_description = "Delete this result with its files, and take it out of the open file wherever it is shown"
    bl_options = {"UNDO"}  # not REGISTER: Repeat Last would delete the next result unasked

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode not in ("OBJECT", "POSE"):
            cls.poll_message_set("In this mode undo could not bring the result back: switch to Object Mode.")
            return False
        return super().poll(context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return self._ask(context)

    @tells_errors
    def _ask(self, context: bpy.types.Context) -> set[str]:
        record = self.record(context)
        self.job = record.id  # of the dialog: another may be selected meanwhile
        self._sentences = deletion.plan(runtime(), record).sentences()
        return context.window_manager.invoke_props_dialog(
            self, width=DIALOG_WIDTH, title=f"Delete “{clips.title_of(record)}”?", confirm_text="Delete"
        )

    def draw(self, context: bpy.types.Context) -> None:
        for sentence in self._sentences:
            column = self.layout.column(align=True)
            for line in textwrap.wrap(sentence, DIALOG_LETTERS):
                column.label(text=line, translate=False)

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        for sentence in deletion.delete(runtime(), self.record(context)).kept():
            self.report({"INFO"}, sentence)
        return {"FINISHED"}


def show_side_by_side(context: bpy.types.Context, records: list[Record]) -> None:
    """Open a window with an image editor for each result. Raises SceneError without a window to open it from."""
    if bpy.app.background:
        raise SceneError("Blender runs without a window.", "Open the result's folder instead.")
    bpy.ops.wm.window_new()  # the context is in the new window from here on, in its only area
    context.area.type = "IMAGE_EDITOR"
    width, height = context.area.width / len(records), context.area.height
    if len(records) > 1:
        bpy.ops.screen.area_split(direction="VERTICAL", factor=0.5)
    left_first = reversed(context.screen.areas[:])  # what is split off lies on the left
    for area, record in zip(left_first, records, strict=True):
        clip = clips.clip_of(runtime(), record, cut_out=False)
        editor = area.spaces.active
        editor.image = results.load_sequence(context.scene, clip)
        editor.zoom_percentage = 100 * FILLED * min(width / clip.size[0], height / clip.size[1])
        play_in_editor(editor, clip, context.scene)


def play_in_editor(editor: bpy.types.SpaceImageEditor, clip: results.Clip, scene: bpy.types.Scene) -> None:
    user = editor.image_user
    user.frame_start, user.frame_duration = clip.start, clip.length(scene)
    user.frame_offset, user.use_auto_refresh, user.use_cyclic = clip.first_file - 1, True, False


CLASSES = (
    MAGICANIMATE_OT_use_result,
    MAGICANIMATE_OT_deliver,
    MAGICANIMATE_OT_show_result,
    MAGICANIMATE_OT_show_planes,
    MAGICANIMATE_OT_compare_results,
    MAGICANIMATE_OT_reveal_result,
    MAGICANIMATE_OT_delete_result,
)
