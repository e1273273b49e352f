"""The server from the preferences, by clicks: installed, cancelled and gone on with, started, stopped, removed."""

import time

import artist
import bpy
import harness

HERE = {"kind": "WINDOW", "area_kind": "PREFERENCES", "above": 330}
"""Below what Blender itself shows of an add-on."""
MINUTES = 20


def steps() -> harness.Steps:
    artist.preferences().stop_server = True
    yield from harness.open_sidebar("MagicAnimate")
    harness.screenshot("1_panel")
    with harness.override():
        bpy.ops.preferences.addon_show(module=artist.ADDON)
    yield from harness.until(lambda: len(bpy.context.window_manager.windows) > 1, 20, "the preferences")
    yield 2.0
    harness.screenshot("2_not_installed")

    current = artist.addon("ui.runtime").runtime()
    state = current.installed
    assert state().kind.name == "NOT_INSTALLED"
    yield from harness.click_button("magicanimate.install_server", **HERE)
    began = time.monotonic()
    yield from harness.until(lambda: current.installation.task, 20, "the installation")
    progress = current.installation.task.poll
    yield from harness.until(lambda: "PyTorch" in progress().title and progress().step > 4, 600, "PyTorch's turn")
    yield 3.0
    harness.screenshot("3_installing")
    assert progress().line
    yield from harness.click_button("magicanimate.cancel_install", **HERE)
    yield from harness.until(lambda: progress().ended, 60, "the end of the installation")
    assert progress().code == "cancelled", progress()
    yield from harness.until(lambda: state().kind.name == "INCOMPLETE", 10, "the state")
    yield 1.0
    harness.screenshot("4_cancelled")
    harness.log(f"cancelled after {time.monotonic() - began:.0f} s")

    began = time.monotonic()
    yield from harness.click_button("magicanimate.install_server", across=0.3, **HERE)
    progress = current.installation.task.poll
    yield from harness.until(lambda: progress().ended, MINUTES * 60, "the installation")
    harness.log(f"gone on with, ready after {time.monotonic() - began:.0f} s", progress())
    assert progress().code == "", progress()
    yield from harness.until(lambda: state().kind.name == "INSTALLED", 10, "the state")
    yield 1.0
    harness.screenshot("5_ready")

    yield from harness.click_button("magicanimate.start_server", **HERE)
    yield from harness.until(lambda: current.watch.status.info, 300, "the server")
    yield 2.0
    harness.screenshot("6_running")
    yield from harness.click_button("magicanimate.stop_server", across=0.75, **HERE)
    yield from harness.until(lambda: current.task is None and current.watch.status.info is None, 60, "its end")

    yield from harness.click_button("magicanimate.remove_server", across=0.8, **HERE)
    yield 1.0
    harness.screenshot("7_remove")
    harness.press("Return")
    yield from harness.until(lambda: state().kind.name == "NOT_INSTALLED", 60, "the removal")
    assert not current.installation.folder.environment.exists()
    yield 1.5
    harness.screenshot("8_removed")
