"""Runs inside Blender's window: carries out a driver's `steps()` on a timer, and gives it eyes and hands.

A driver is a generator that imports this module. Each `yield SECONDS` goes back to Blender's event loop, which is when
it redraws, runs timers and takes clicks:

    import harness

    def steps():
        yield from harness.open_sidebar("MagicAnimate")
        harness.screenshot("panel")
        harness.click_region(100, 46)
        yield from harness.until(lambda: bpy.context.scene.frame_current == 2, 10, "the frame to change")
"""

import importlib
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import bpy

OUT = Path(os.environ["WINDOW_OUT"])
TURN = int(os.environ["WINDOW_TURN"])
"""1 in the session's first Blender, 2 in the one that was started after it was killed, ..."""
Steps = Iterator[float]


def log(*words: object) -> None:
    with (OUT / "driver.log").open("a") as file:
        print(*words, file=file)


# In a timer `bpy.context` has no window, area or region: these find them.
def window() -> bpy.types.Window:
    return bpy.context.window_manager.windows[0]


def area(kind: str = "VIEW_3D") -> bpy.types.Area:
    return next(area for area in window_with(kind).screen.areas if area.type == kind)


def window_with(kind: str) -> bpy.types.Window:
    """The first window that has such an area: the preferences have one of their own."""
    windows = bpy.context.window_manager.windows
    return next(each for each in windows if any(area.type == kind for area in each.screen.areas))


def region(kind: str = "UI", area_kind: str = "VIEW_3D") -> bpy.types.Region:
    return next(region for region in area(area_kind).regions if region.type == kind)


def override(region_kind: str = "WINDOW", area_kind: str = "VIEW_3D") -> object:
    """`with harness.override(): bpy.ops.view3d...`"""
    return bpy.context.temp_override(window=window(), area=area(area_kind), region=region(region_kind, area_kind))


def until(condition: Callable[[], object], seconds: float, what: str) -> Steps:
    """Wait for a state, never for a time: a redraw takes a fifth of a second on software OpenGL."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:g} s for {what}")
        yield 0.1


def open_sidebar(tab: str) -> Steps:
    """Show the 3D view's sidebar with a tab in front; it can be chosen only once the tabs have been drawn."""
    area().spaces.active.show_region_ui = True

    def chosen() -> bool:
        for each in area().regions:
            each.tag_redraw()
        try:
            region().active_panel_category = tab
        except (AttributeError, TypeError):
            return False
        return region().active_panel_category == tab

    yield from until(chosen, 20, f"the tab {tab}")
    region().tag_redraw()
    yield 0.6


def widen_sidebar(pixels: int) -> Steps:
    """Drag the sidebar's left edge until it is about that wide. Where the edge takes hold differs between Blenders."""
    for inside in (1, 8):
        before = region().width
        x, y = on_display(region().x + inside, region().y + region().height // 2)
        target = x - (pixels - before)
        # One movement at a time: Blender takes none while xdotool runs.
        for way in (x - 40, x, None, (x + target) // 2, target):
            xdotool(*(("mousedown", 1) if way is None else ("mousemove", way, y)))
            yield 0.4
        xdotool("mouseup", 1)
        yield 0.8
        if region().width != before:
            return
    raise AssertionError("the sidebar's edge did not move")


def on_display(x: float, y: float, area_kind: str = "VIEW_3D") -> tuple[int, int]:
    """A point of the window with such an area. Blender counts pixels from the bottom, the display from the top."""
    inside = window_with(area_kind)
    return int(inside.x + x), int(window().height - 1 - inside.y - y)


def click_region(right: int, down: int, kind: str = "UI", area_kind: str = "VIEW_3D", button: int = 1) -> None:
    """Click a point given in pixels from a region's left and top edge."""
    inside = region(kind, area_kind)
    click(*on_display(inside.x + right, inside.y + inside.height - 1 - down, area_kind), button=button)


def click(x: int, y: int, button: int = 1) -> None:
    xdotool("mousemove", x, y, "sleep", 0.05, "mousemove", x + 1, y, "sleep", 0.1, "click", button)


_rows: dict[str, int] = {}
"""Where a button was found last, in pixels from the region's top: it is looked for there first."""


def find_button(
    operator: str, across: float = 0.5, *, kind: str = "UI", area_kind: str = "VIEW_3D", above: int = 20
) -> Generator[float, None, tuple[int, int]]:
    """Where a region, the sidebar, shows a button of an operator: `x, y = yield from find_button("mesh.dupli")`.

    Blender tells nobody where its buttons are, but Ctrl C over one copies its command: so go down the region, a part
    `across` of its width from the left, and ask. Only what is in view and not greyed out is found.
    above: pixels at the top that are left out.
    """
    inside = region(kind, area_kind)
    rows = list(range(above, inside.height - 10, 14))  # a button is 20 pixels high
    if operator in _rows:
        rows.sort(key=lambda row: abs(row - _rows[operator]))
    for down in rows:
        left, up = int(inside.width * across), inside.height - 1 - down
        x, y = on_display(inside.x + left, inside.y + up, area_kind)
        bpy.context.window_manager.clipboard = ""
        xdotool("mousemove", x, y)
        yield 0.1
        xdotool("mousemove", x + 1, y, "key", "ctrl+c")
        yield 0.15
        if bpy.context.window_manager.clipboard.startswith(f"bpy.ops.{operator}("):
            _rows[operator] = down
            return x, y
    raise AssertionError(f"there is no button of {operator} in view")


def click_button(operator: str, across: float = 0.5, **where: str | int) -> Steps:
    x, y = yield from find_button(operator, across, **where)
    click(x, y)
    yield 0.5


def scroll_to_button(operator: str, across: float = 0.5) -> Generator[float, None, tuple[int, int]]:
    """Find a button of the sidebar that may lie below what is in view."""
    for _ in range(5):
        try:
            return (yield from find_button(operator, across))
        except AssertionError:
            scroll_region(14)
            yield 2.0
    raise AssertionError(f"there is no button of {operator}")


def scroll_region(notches: int, kind: str = "UI") -> None:
    """Turn the wheel over the middle of a region; positive goes down."""
    hover(kind)
    xdotool("sleep", 0.1, "click", "--repeat", abs(notches), 5 if notches > 0 else 4)


def hover(kind: str = "WINDOW") -> None:
    """Put the mouse over a region, which then gets the keys."""
    inside = region(kind)
    xdotool("mousemove", *on_display(inside.x + inside.width // 3, inside.y + inside.height // 2))


def press(key: str) -> None:
    xdotool("key", key)


def xdotool(*words: object) -> None:
    subprocess.run(["xdotool", *map(str, words)], check=True)


def screenshot(name: str) -> Path:
    path = OUT / f"{name}.png"
    subprocess.run(["import", "-window", "root", str(path)], check=True)
    return path


def kill_blender(reopen: Path) -> None:
    """SIGKILL, as the system does when memory runs out; session.sh then starts Blender again with that file."""
    (OUT.parent / "reopen").write_text(str(reopen))
    os.kill(os.getpid(), signal.SIGKILL)


def colourfulness(kind: str = "WINDOW") -> float:
    """Mean saturation (0..1) of what the middle of the 3D view shows; of grey, as Blender draws by itself, 0."""
    inside = region(kind)
    width, height = (inside.width - region("UI").width) // 3, inside.height // 3
    x, y = on_display(inside.x + width, inside.y + 2 * height)
    crop = f"{width}x{height}+{x}+{y}"
    command = ["import", "-window", "root", "-crop", crop, "-colorspace", "HSL", "-format", "%[fx:mean.g]", "info:"]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def start() -> None:
    steps: Steps | None = None

    def step() -> float:
        nonlocal steps
        try:
            steps = steps or importlib.import_module("driver").steps()
            return next(steps) or 0.1
        except StopIteration:
            end(0)
        except BaseException:
            log(traceback.format_exc())
            screenshot("failure")
            end(1)
        return 0.1

    bpy.app.timers.register(step, first_interval=1.5, persistent=True)


def end(status: int) -> None:
    """Leave at once: what Blender does on its way out is not what is tested here."""
    (OUT / "status").write_text(str(status))
    os._exit(status)


if __name__ == "__main__":
    sys.modules["harness"] = sys.modules["__main__"]
    sys.path.insert(0, os.getcwd())  # Blender does not listen to PYTHONPATH
    bpy.context.preferences.view.show_splash = False
    bpy.context.preferences.use_preferences_save = False
    log(bpy.app.version_string)
    start()
