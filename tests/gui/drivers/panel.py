"""The installed extension is enabled, and its tab opens in the sidebar."""

import bpy
import harness


def steps() -> harness.Steps:
    assert "bl_ext.user_default.magicanimate_blender" in bpy.context.preferences.addons
    yield from harness.open_sidebar("MagicAnimate")
    harness.screenshot("panel")
