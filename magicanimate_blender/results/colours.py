"""Show frames as they were delivered, whatever view transform and display the scene has.

Frames are sRGB pictures. A view transform such as AgX (Blender's default) is made for light, not for finished pictures:
it would dull them. So the pictures are read through the inverse of the scene's view, and the view brings them back.
Measured by rendering 8-bit colour charts with Cycles on 4.2 and 5.0: Standard, Raw and ACES 2.0 give every colour back
exactly. AgX and Filmic give back every grey, and colours of ordinary saturation exactly (AgX on 4.2: within 8 levels
of 255, 0.4 on average); they cannot show colours near the corners of the RGB cube at all, where a pure red comes out up
to 72 levels off. Khronos PBR Neutral cannot show the lightest colours (up to 23 levels off). A look (such as AgX -
Punchy) is the user's wish and is not undone; exposure is.

On a display other than sRGB the picture keeps its colours, so its numbers are those of that display. A studio's own
OpenColorIO configuration names its colour spaces as it likes: see `srgb_space`.
"""

import re
from functools import cache

import bpy

from ..scene.errors import Note
from .clip import MATTE, TAG, all_strips
from .ocio import custom_config

INVERSE_OF_VIEW = {
    "AgX": "AgX Base sRGB",
    "Filmic": "Filmic sRGB",
    "Khronos PBR Neutral": "Khronos PBR Neutral sRGB",
    "ACES 1.3": "ACES 1.3 sRGB",
    "ACES 2.0": "ACES 2.0 sRGB",
}
PLAIN_VIEWS = ("Standard", "Un-tone-mapped", "sRGB")
"""Views that only encode for the display: what is read as sRGB comes back."""
SRGB_NAMES = (
    "sRGB",
    "sRGB - Texture",
    "Utility - sRGB - Texture",
    "Input - Generic - sRGB - Texture",
    "sRGB Encoded Rec.709 (sRGB)",
    "sRGB Encoded Rec.709",
    "srgb_tx",
    "srgb_texture",
    "srgb_rec709_scene",
    "sRGB - Display",
    "srgb_display",
    "srgb_rec709_display",
)
"""Names and aliases of the sRGB colour space in the configurations of Blender, of ACES 1.x and 2.x, best first."""
BYTE_ROLES = ("default_byte", "matte_paint", "color_picking")
"""Roles that are sRGB by habit, not by definition."""


def colorspace_for(scene: bpy.types.Scene) -> str:
    """The colour space to read frames with, so that the scene's view shows them as delivered."""
    view = scene.view_settings.view_transform
    if view == "Raw":
        return _defaults()[1]
    return _inverse_of(view) or srgb_space()[0]


def set_colorspace(data: bpy.types.bpy_struct, scene: bpy.types.Scene) -> None:
    """Read the frames of an image or a strip so that the scene's view shows them as delivered."""
    name = colorspace_for(scene)
    if data.colorspace_settings.name != name:
        data.colorspace_settings.name = name


def colour_note(scene: bpy.types.Scene) -> Note | None:
    """Why the scene does not show frames in the colours that they were delivered in, or None if it does."""
    view = scene.view_settings.view_transform
    name, known = srgb_space()
    if not known:
        return Note(
            "The OpenColorIO configuration that Blender runs with has no colour space that is known to be sRGB: the "
            f"frames are read as “{name}”.",
            "If their colours are wrong, give its sRGB colour space the alias srgb_tx, or choose another Color Space "
            "in the image's properties.",
        )
    if view != "Raw" and view not in PLAIN_VIEWS and _inverse_of(view) is None:
        return Note(
            f"The view “{view}” can't be undone: the frames are shown with its contrast and colours.",
            "Choose the view Standard under Render > Color Management to see them as they were delivered.",
        )
    return None


def srgb_space() -> tuple[str, bool]:
    """The colour space of sRGB pictures, and whether it is known to be that.

    It is found by its name, else by its aliases in the configuration, else by the roles that pictures of 8 bits have
    there, else as Blender reads such pictures.
    """
    by_name = {_plain(name): name for name in _names()}
    aliases = {_plain(alias): name for alias, name in custom_config().aliases.items() if name in _names()}
    for names in (by_name, aliases):
        for known in SRGB_NAMES:
            if _plain(known) in names:
                return names[_plain(known)], True
    roles = custom_config().roles
    by_role = (aliases.get(_plain(roles.get(role, "")), roles.get(role)) for role in BYTE_ROLES)
    return next((name for name in by_role if name in _names()), _defaults()[0]), False


def match_view(scene: bpy.types.Scene) -> None:
    """Read every picture of ours, and every strip of ours in `scene`, so that its view shows them as delivered."""
    pictures = [image for image in bpy.data.images if TAG in image and MATTE not in image]
    for data in (*pictures, *(strip for strip in all_strips(scene) if TAG in strip)):
        set_colorspace(data, scene)


def follow_views(owner: object) -> None:
    """Call `match_view` whenever somebody changes view or display, until `bpy.msgbus.clear_by_owner(owner)`."""
    for key in (
        (bpy.types.ColorManagedViewSettings, "view_transform"),
        (bpy.types.ColorManagedDisplaySettings, "display_device"),
    ):
        bpy.msgbus.subscribe_rna(key=key, owner=owner, args=(), notify=lambda: match_view(bpy.context.scene))


def _inverse_of(view: str) -> str | None:
    """The colour space whose pictures this view gives back on an sRGB display, if there is one.

    HDR displays have the same view with another name: “AgX - SDR”.
    """
    config = custom_config()
    shown = [
        spaces[view]
        for display, spaces in config.views.items()
        if view in spaces and ("srgb" in _plain(display) or "srgb" in _plain(view))
    ]
    inverse = (*(config.aliases.get(name, name) for name in shown), INVERSE_OF_VIEW.get(view.removesuffix(" - SDR")))
    return next((name for name in inverse if name in _names()), None)


@cache
def _names() -> frozenset[str]:
    """Blender reads its configuration once, at start."""
    return frozenset(bpy.types.ColorManagedInputColorspaceSettings.bl_rna.properties["name"].enum_items.keys())


@cache
def _defaults() -> tuple[str, str]:
    """The colour spaces in which Blender reads pictures of 8 bits, and data."""
    probe = bpy.data.images.new("MagicAnimate colour space", 1, 1)
    byte = probe.colorspace_settings.name
    probe.colorspace_settings.is_data = True
    data = probe.colorspace_settings.name
    bpy.data.images.remove(probe)
    return byte, data


def _plain(name: str) -> str:
    """Without what spellings differ in."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
