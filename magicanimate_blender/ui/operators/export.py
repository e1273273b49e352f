"""Export part maps for other tools, a frame at a time, so that it can be watched and stopped."""

from __future__ import annotations

from pathlib import Path

import bpy

from ...densepose.errors import DensePoseError
from ...scene.export import ExportedFrame, export_part_maps, export_video
from ...scene.obstacles import waits_for
from ..request import characters_of, frames_of
from .character import video_size
from .common import tells_errors

KINDS = [
    ("labels", "Labels", "Indexed PNG: body part 0 to 24 as index, with the colours of the training clips as palette"),
    ("colours", "Colours", "RGB PNG in the colours of the training clips"),
    ("iuv-bgr", "IUV (BGR)", "Part, U and V, in the channel order of DensePose's own tools"),
    ("iuv-rgb", "IUV (RGB)", "Part, U and V as red, green, blue"),
]
VIDEOS = [
    ("NONE", "No Video", "Only the pictures"),
    (".mp4", "MP4", "H.264 without loss"),
    (".mkv", "MKV", "FFV1, exact to the bit"),
]


class MAGICANIMATE_OT_export_maps(bpy.types.Operator):
    bl_idname = "magicanimate.export_maps"
    bl_label = "Export Part Maps"
    bl_description = "Write the character's part maps into a folder, one PNG for each frame"
    bl_options = {"REGISTER"}

    directory: bpy.props.StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    kind: bpy.props.EnumProperty(name="Kind", description="What the pictures hold", items=KINDS)
    video: bpy.props.EnumProperty(name="Video", description="Join the pictures to a video as well", items=VIDEOS)
    resume: bpy.props.BoolProperty(
        name="Keep Present Files", description="Go on after a stop; not after the scene changed"
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        scene, chosen = context.scene, context.scene.magicanimate
        folder = Path(bpy.path.abspath(self.directory))
        size, frames = video_size(scene), frames_of(scene)
        self._characters = characters_of(scene)
        self._steps = export_part_maps(
            scene, self._characters, frames, folder, self.kind, size, self.resume, chosen.mitten
        )
        self._paths: list[Path] = []
        if bpy.app.background:
            for step in self._steps:
                self._paths.append(step.path)
            return self._finish(context)
        context.window_manager.progress_begin(0, max(len(frames), 1))
        self._timer = context.window_manager.event_timer_add(0.01, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type == "ESC":
            self._end(context)
            self.report({"INFO"}, f"Stopped: {len(self._paths)} part maps are written")
            return {"CANCELLED"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        waiting = waits_for(self._characters)
        if waiting is not None:
            context.workspace.status_text_set(f"Waiting: {waiting} (ESC: stop)")
            return {"PASS_THROUGH"}
        try:
            step = self._next()
            if step is None:
                self._end(context)
                return self._finish(context)
        except DensePoseError as error:
            self._end(context)
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self._paths.append(step.path)
        context.window_manager.progress_update(step.done)
        context.workspace.status_text_set(f"Part map {step.done} of {step.total} (ESC: stop)")
        return {"RUNNING_MODAL"}

    def _next(self) -> ExportedFrame | None:
        return next(self._steps, None)

    def _end(self, context: bpy.types.Context) -> None:
        self._steps.close()
        context.window_manager.event_timer_remove(self._timer)
        context.window_manager.progress_end()
        context.workspace.status_text_set(None)

    @tells_errors
    def _finish(self, context: bpy.types.Context) -> set[str]:
        if self.video != "NONE" and self._paths:
            write_video(context.scene, self._paths, self._paths[0].parent / f"part_maps{self.video}")
        self.report({"INFO"}, f"{len(self._paths)} part maps are in {bpy.path.abspath(self.directory)}")
        return {"FINISHED"}


def write_video(scene: bpy.types.Scene, pictures: list[Path], path: Path) -> None:
    """Raises SceneError."""
    export_video(pictures, path, scene.render.fps / scene.render.fps_base / scene.magicanimate.frame_step)


def menu(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    """In File > Export."""
    self.layout.operator(MAGICANIMATE_OT_export_maps.bl_idname, text="DensePose Part Maps (.png)")


CLASSES = (MAGICANIMATE_OT_export_maps,)
