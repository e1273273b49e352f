"""Import the user's own SMPL-X model file and SMPL-X or AMASS motions."""

from __future__ import annotations

import bpy

from ...scene.smplx_model import import_smplx_model
from ...scene.smplx_motion import import_smplx_motion
from .. import scene_facts
from .common import tells_errors


class ImportsNpz:
    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: bpy.props.StringProperty(default="*.npz", options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}


class MAGICANIMATE_OT_import_smplx_model(ImportsNpz, bpy.types.Operator):
    bl_idname = "magicanimate.import_smplx_model"
    bl_label = "Import SMPL-X Model"
    bl_description = "Add the body of your own SMPLX_*.npz, with its shapes, expressions and pose correctives"
    bl_options = {"REGISTER", "UNDO"}

    betas: bpy.props.IntProperty(name="Shapes", description="How many body shapes", default=10, min=0, max=300)
    expressions: bpy.props.IntProperty(
        name="Expressions", description="How many facial expressions", default=10, min=0, max=100
    )
    correctives: bpy.props.BoolProperty(
        name="Pose Correctives", description="486 shape keys that follow the pose: truer bends, slower", default=True
    )

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        import_smplx_model(context.scene, self.filepath, self.betas, self.expressions, self.correctives)
        scene_facts.look_again(context.scene)
        return {"FINISHED"}


class MAGICANIMATE_OT_import_smplx_motion(ImportsNpz, bpy.types.Operator):
    bl_idname = "magicanimate.import_smplx_motion"
    bl_label = "Import SMPL-X Motion"
    bl_description = "Put an SMPL-X or AMASS motion on the active armature, at the scene's frame rate"
    bl_options = {"REGISTER", "UNDO"}

    start: bpy.props.IntProperty(name="Start", description="Scene frame of its first frame", default=1)
    up: bpy.props.EnumProperty(
        name="Up",
        description="Which axis is up in the file",
        items=[("auto", "By the Body", "Look at how the body stands"), ("Y", "Y", ""), ("Z", "Z", "As AMASS has it")],
    )
    frame_rate: bpy.props.FloatProperty(
        name="Frame Rate", description="Of the file; 0: what it says itself", default=0, min=0, max=1000
    )
    use_shape: bpy.props.BoolProperty(name="Shape, Too", description="Take the body's shape from the motion as well")
    relaxed_hands: bpy.props.BoolProperty(
        name="Relaxed Hands",
        description="The file's hands are relative to the model's relaxed hand, not to the flat one",
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        ready = context.object is not None and context.object.type == "ARMATURE"
        if not ready:
            cls.poll_message_set("Select an SMPL-X armature first")
        return ready

    @tells_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        import_smplx_motion(
            context.scene,
            context.object,
            self.filepath,
            self.frame_rate or None,
            self.up,
            self.start,
            self.use_shape,
            self.relaxed_hands,
        )
        scene_facts.look_again(context.scene)
        return {"FINISHED"}


def menu(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    """In File > Import."""
    self.layout.operator(MAGICANIMATE_OT_import_smplx_model.bl_idname, text="SMPL-X Model (.npz)")
    self.layout.operator(MAGICANIMATE_OT_import_smplx_motion.bl_idname, text="SMPL-X or AMASS Motion (.npz)")


CLASSES = (MAGICANIMATE_OT_import_smplx_model, MAGICANIMATE_OT_import_smplx_motion)
