"""What a scene remembers: the choices in the panel, saved with the .blend."""

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

STILL = ("FILE", "GENERATED")
"""Sources of images that are one picture: no video, no sequence, no render."""


def _overlay_changed(self: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    from . import overlay

    overlay.show(self.id_data)


def _is_still(self: bpy.types.PropertyGroup, candidate: bpy.types.Image) -> bool:
    return candidate.source in STILL


def _reference_changed(self: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:

    self.consent = False
    _reference_shown(self, context)


def _reference_shown(self: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    from . import reference_overlay

    reference_overlay.update(self.id_data)
    for camera in bpy.data.cameras:  # a view draws its evaluated copy, which is not told of background images
        camera.update_tag()


def _is_armature(self: bpy.types.PropertyGroup, candidate: bpy.types.Object) -> bool:
    return candidate.type == "ARMATURE"


class SceneJob(bpy.types.PropertyGroup):
    """A job that was started in this scene. `name` is its id."""


class SceneSettings(bpy.types.PropertyGroup):
    # Character
    character: PointerProperty(
        name="Character",
        description="Armature of the character; empty: every character in the scene",
        type=bpy.types.Object,
        poll=_is_armature,
    )
    show_overlay: BoolProperty(
        name="Show Part Map",
        description="Draw the part map over the 3D view, in the exact colours that the server gets",
        update=_overlay_changed,
    )
    overlay_opacity: FloatProperty(
        name="Opacity", description="Of the part map over the 3D view", default=1.0, min=0.0, max=1.0, subtype="FACTOR"
    )

    mitten: BoolProperty(
        name="Mitten Hands",
        description="Draw closed hands, as the detector drew them that the network was trained with",
    )

    # Reference
    reference: PointerProperty(
        name="Reference",
        description="Picture of the person to animate",
        type=bpy.types.Image,
        poll=_is_still,
        update=_reference_changed,
    )
    fit: EnumProperty(
        name="Fit",
        description="How the picture is brought to the output's proportions",
        items=[
            ("CROP", "Crop", "Cut off what is too much, keeping the middle"),
            ("PAD", "Pad", "Add borders in the colour of the picture's edge"),
            ("STRETCH", "Stretch", "Distort it"),
        ],
        update=_reference_shown,
    )
    consent: BoolProperty(
        name="I May Use This Picture",
        description="You have the right to use the picture of this person for an animation",
    )
    show_reference: BoolProperty(
        name="Show in Camera View",
        description="Lay the reference over the camera's view, to pose and frame against it",
        update=_reference_shown,
    )

    # Frames
    use_scene_range: BoolProperty(name="Scene Range", description="Animate the scene's frame range", default=True)
    frame_start: IntProperty(name="Start", description="First frame", default=1)
    frame_end: IntProperty(name="End", description="Last frame", default=48)
    frame_step: IntProperty(
        name="Step",
        description="Animate every frame, every second ...; the result plays in the scene's time",
        default=1,
        min=1,
        max=24,
    )
    use_advised_size: BoolProperty(
        name="Advised Size", description="The size that the weights were trained for", default=True
    )
    width: IntProperty(name="Width", description="Of the video, in pixels", default=512, min=64, max=2048, step=64)
    height: IntProperty(name="Height", description="Of the video, in pixels", default=512, min=64, max=2048, step=64)

    size_share: FloatProperty(
        name="Part of Size",
        description="Part of the width and height that is computed, in steps that the weights can do; small is fast, "
        "but is another take than the full size",
        default=1.0,
        min=0.25,
        max=1.0,
        precision=2,
        subtype="FACTOR",
    )

    # Quality
    engine: StringProperty(name="Engine", description="What animates the picture", default="magicanimate")
    weights: StringProperty(name="Weights", description="Weights of the engine; empty: the best that are there")
    suited_to: StringProperty(
        name="Suited To", description="Weights that the engine's settings suit just now", options={"HIDDEN"}
    )

    live_preview: BoolProperty(
        name="Live Preview", description="Preview the current frame by itself whenever scrubbing or posing stops"
    )

    # Results
    then: EnumProperty(
        name="When Done",
        description="What becomes of a finished animation; one that is regenerated always takes its old place",
        items=[
            ("PLANE", "Plane in View", "A plane before the character that fills the camera's view", "IMAGE_PLANE", 0),
            ("COMPOSITOR", "Compositor", "Nodes that lay it over the render", "NODE_COMPOSITING", 1),
            ("STRIP", "Video Strip", "A strip in the video sequencer", "SEQUENCE", 2),
            ("IMAGE", "Image Sequence", "An image datablock, for your own materials", "IMAGE_DATA", 3),
            ("NOTHING", "Nothing", "It only appears in the list of results", "X", 4),
        ],
    )
    cut_out: BoolProperty(
        name="Cut Out Figure", description="Make the background transparent, by the part maps' silhouette"
    )
    variations: IntProperty(name="Variations", description="How many seeds to try at once", default=4, min=2, max=16)
    redo: StringProperty(
        name="Redo", description="Scene frames to compute again although nothing changed, like 10-14, 20", maxlen=400
    )
    keep: StringProperty(
        name="Keep", description="Scene frames to keep although their pose changed, like 10-14, 20", maxlen=400
    )
    all_scenes: BoolProperty(name="All Results", description="Also results of other scenes and files")
    jobs: CollectionProperty(type=SceneJob)


def settings_of(scene: bpy.types.Scene) -> SceneSettings:
    return scene.magicanimate


def remember_job(scene: bpy.types.Scene, job: str) -> None:
    """Note in the scene, and so in its file, that the job belongs to it."""
    if job not in scene.magicanimate.jobs:
        scene.magicanimate.jobs.add().name = job


def forget_job(job: str) -> None:
    for scene in bpy.data.scenes:
        index = scene.magicanimate.jobs.find(job)
        if index >= 0:
            scene.magicanimate.jobs.remove(index)


def scene_of(job: str) -> bpy.types.Scene | None:
    """The scene of the open file that a job was started in."""
    return next((scene for scene in bpy.data.scenes if job in scene.magicanimate.jobs), None)


CLASSES = (SceneJob, SceneSettings)


def register() -> None:
    for each in CLASSES:
        bpy.utils.register_class(each)
    bpy.types.Scene.magicanimate = PointerProperty(type=SceneSettings)


def unregister() -> None:
    del bpy.types.Scene.magicanimate
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
