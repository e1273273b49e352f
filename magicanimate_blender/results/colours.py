"""Show frames as they were delivered, whatever view transform the scene has.

A view transform such as AgX (Blender's default) is made for light, not for finished pictures: it would dull them. So
the pictures are read through the inverse of the scene's view, and the view brings them back. Measured by rendering
8-bit colour charts with Cycles on 4.2 and 5.0: Standard, Raw and ACES 2.0 give every colour back exactly. AgX and
Filmic give back every grey, and colours of ordinary saturation exactly (AgX on 4.2: within 8 levels of 255, 0.4 on
average); they cannot show colours near the corners of the RGB cube at all, where a pure red comes out up to 72 levels
off. Khronos PBR Neutral cannot show the lightest colours (up to 23 levels off). A look (such as AgX - Punchy) is the
user's wish and is not undone; exposure is.
"""

import bpy

from .clip import MATTE, TAG, all_strips

INVERSE_OF_VIEW = {
    "Standard": "sRGB",
    "AgX": "AgX Base sRGB",
    "Filmic": "Filmic sRGB",
    "Khronos PBR Neutral": "Khronos PBR Neutral sRGB",
    "ACES 1.3": "ACES 1.3 sRGB",
    "ACES 2.0": "ACES 2.0 sRGB",
    "Raw": "Non-Color",
}


def colorspace_for(scene: bpy.types.Scene) -> str:
    """The colour space to read frames with, so that the scene's view shows them as delivered."""
    name = INVERSE_OF_VIEW.get(scene.view_settings.view_transform, "sRGB")
    known = bpy.types.ColorManagedInputColorspaceSettings.bl_rna.properties["name"].enum_items
    return name if name in known else "sRGB"  # a studio's own OCIO configuration may lack it


def match_view(scene: bpy.types.Scene) -> None:
    """Read every picture of ours, and every strip of ours in `scene`, so that its view shows them as delivered."""
    name = colorspace_for(scene)
    pictures = [image for image in bpy.data.images if TAG in image and MATTE not in image]
    for data in (*pictures, *(strip for strip in all_strips(scene) if TAG in strip)):
        if data.colorspace_settings.name != name:
            data.colorspace_settings.name = name


def follow_views(owner: object) -> None:
    """Call `match_view` whenever somebody changes a view transform, until `bpy.msgbus.clear_by_owner(owner)`."""
    key = (bpy.types.ColorManagedViewSettings, "view_transform")
    bpy.msgbus.subscribe_rna(key=key, owner=owner, args=(), notify=lambda: match_view(bpy.context.scene))
