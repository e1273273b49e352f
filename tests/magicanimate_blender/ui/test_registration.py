import signal
import threading

import bpy
import pytest

from magicanimate_blender.ui import handlers, timer


def state() -> dict[str, object]:
    """Everything that an add-on may leave behind in Blender."""
    lists = {name: list(getattr(bpy.app.handlers, name)) for name in handlers.HANDLERS}
    names = ("VIEW3D_MT_armature_add", "TOPBAR_MT_file_import", "TOPBAR_MT_file_export", "STATUSBAR_HT_header")
    menus = [getattr(bpy.types, name) for name in names]
    return {
        "handlers": {name: len(entries) for name, entries in lists.items()},
        "timer": bpy.app.timers.is_registered(timer.tick),
        "classes": sorted(name for name in dir(bpy.types) if "magicanimate" in name.lower()),
        "operators": sorted(dir(bpy.ops.magicanimate)),
        "properties": [
            name
            for owner in (bpy.types.Scene, bpy.types.WindowManager, bpy.types.Object)
            for name in dir(owner)
            if "magicanimate" in name
        ],
        "menus": [len(menu._dyn_ui_initialize()) for menu in menus],
        "threads": sorted(thread.name for thread in threading.enumerate() if "magicanimate" in thread.name),
    }


def test_enabling_and_disabling_ten_times_leaves_nothing(addon):
    bpy.ops.preferences.addon_disable(module="magicanimate_blender")
    before = state()
    assert before["classes"] == before["properties"] == before["threads"] == []
    for _ in range(10):
        bpy.ops.preferences.addon_enable(module="magicanimate_blender")
        assert state()["classes"]
        bpy.ops.preferences.addon_disable(module="magicanimate_blender")
        assert state() == before
    bpy.ops.preferences.addon_enable(module="magicanimate_blender")


def test_disabling_with_a_job_running_ends_its_threads(addon, stage, current, finish):
    bpy.ops.magicanimate.animate()
    bpy.ops.preferences.addon_disable(module="magicanimate_blender")
    try:
        assert state()["threads"] == []
    finally:
        bpy.ops.preferences.addon_enable(module="magicanimate_blender")


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="Windows has no such signal")
def test_a_broken_connection_does_not_end_blender(addon):
    """Blender 4 leaves SIGPIPE at its default, which ends the program."""
    bpy.ops.preferences.addon_disable(module="magicanimate_blender")
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        bpy.ops.preferences.addon_enable(module="magicanimate_blender")
        assert signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN
        bpy.ops.preferences.addon_disable(module="magicanimate_blender")
        assert signal.getsignal(signal.SIGPIPE) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGPIPE, before)
        bpy.ops.preferences.addon_enable(module="magicanimate_blender")


def test_no_key_of_blender_does_anything_of_ours(addon):
    """ESC stops playback, ends transforms and closes menus all day long: it must not end a job of hours as well."""
    keymaps = bpy.context.window_manager.keyconfigs.addon.keymaps
    ours = [item.type for keymap in keymaps for item in keymap.keymap_items if "magicanimate" in item.idname]
    assert ours == []


def test_operators_and_properties_are_described(addon):
    """Tooltips are what translators and first-time users read."""
    undescribed = [name for name in dir(bpy.ops.magicanimate) if not description(name)]
    assert undescribed == []
    settings = bpy.context.scene.magicanimate
    names = [p.identifier for p in settings.bl_rna.properties if p.identifier not in ("rna_type", "name", "jobs")]
    assert [name for name in names if not settings.bl_rna.properties[name].description] == []


def description(operator: str) -> str:
    kind = getattr(bpy.ops.magicanimate, operator).get_rna_type()
    # use_preset says what the chosen preset does
    return kind.description or ("by preset" if operator == "use_preset" else "")
