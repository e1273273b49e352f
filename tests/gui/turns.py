"""Runs inside Blender's window: how long each turn of its event loop took, and how much of that the add-on.

Everything of the add-on that Blender calls on its main thread is wrapped with a clock: its timer, its handlers, what it
draws into the view, and what its panels, lists, menus and operators define. Of each outermost call three times are
taken, in milliseconds:

    wall        by the clock on the wall: what an artist feels
    held        wall without the time in which the thread was ready to run but had no core (the kernel counts it): what
                remains on a machine that is busy with other work; waiting for a disk, a lock or another thread stays in
    processor   time on a core

A turn is what happens between two ticks of a Blender timer that asks for one in every turn: redraws, events, timers.
"""

import functools
import importlib
import json
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MethodType
from typing import NamedTuple

import bpy

CALLED = ("draw", "draw_header", "draw_header_preset", "draw_item", "poll", "invoke", "execute", "modal")
"""What Blender calls of a registered class."""
TICK = 0.001


class Times(NamedTuple):
    wall: float
    held: float
    processor: float

    def __add__(self, other: "Times") -> "Times":  # type: ignore[override]
        return Times(*(a + b for a, b in zip(self, other, strict=True)))

    def __sub__(self, other: "Times") -> "Times":
        return Times(*(a - b for a, b in zip(self, other, strict=True)))


ZERO = Times(0.0, 0.0, 0.0)


@dataclass
class Turn:
    """at: seconds since the measurement began. ours: the add-on's share. calls: that share by what was called."""

    phase: str
    at: float
    whole: Times
    ours: Times
    calls: dict[str, Times] = field(default_factory=dict)


class Turns:
    """Measures from `begin` to `end`; `phase` names what is going on."""

    def __init__(self, addon: str) -> None:
        self.turns: list[Turn] = []
        self._addon = addon
        self._main = threading.main_thread()
        self._inside = False
        self._calls: dict[str, Times] = {}
        self._undo: list[Callable[[], None]] = []
        self._waits = os.open("/proc/thread-self/schedstat", os.O_RDONLY)

    def begin(self, phase: str) -> None:
        self.phase = phase
        for wrap in (self._wrap_timer, self._wrap_handlers, self._wrap_view, self._wrap_classes):
            wrap()
        self._began = self._last = self._now()
        self._ticking = self._tick  # one object: Blender knows a timer by its identity
        bpy.app.timers.register(self._ticking, persistent=True)

    def end(self) -> None:
        bpy.app.timers.unregister(self._ticking)
        for undo in reversed(self._undo):
            undo()
        os.close(self._waits)

    def _now(self) -> Times:
        wall = time.perf_counter() * 1000
        waited = int(os.pread(self._waits, 100, 0).split()[1]) / 1e6
        return Times(wall, wall - waited, time.thread_time() * 1000)

    def _tick(self) -> float:
        now = self._now()
        ours = functools.reduce(Times.__add__, self._calls.values(), ZERO)
        at = (now.wall - self._began.wall) / 1000
        self.turns.append(Turn(self.phase, at, now - self._last, ours, self._calls))
        self._last, self._calls = now, {}
        return TICK

    def _timed(self, call: Callable, name: str) -> Callable:
        @functools.wraps(call)
        def timed(*args: object, **options: object) -> object:
            if self._inside or threading.current_thread() is not self._main:
                return call(*args, **options)
            self._inside, began = True, self._now()
            try:
                return call(*args, **options)
            finally:
                self._calls[name] = self._calls.get(name, ZERO) + (self._now() - began)
                self._inside = False

        return timed

    # what Blender calls

    def _wrap_timer(self) -> None:
        timer = importlib.import_module(f"{self._addon}.ui.timer")
        plain = timer.tick
        timed = self._timed(plain, "timer")

        def exchange(old: Callable, new: Callable) -> None:
            bpy.app.timers.unregister(old)
            timer.tick = new
            bpy.app.timers.register(new, persistent=True)

        exchange(plain, timed)
        self._undo.append(lambda: exchange(timed, plain))

    def _wrap_handlers(self) -> None:
        for name in dir(bpy.app.handlers):
            handlers = getattr(bpy.app.handlers, name)
            for number, plain in enumerate(handlers if isinstance(handlers, list) else ()):
                if plain.__module__.startswith(self._addon):
                    handlers[number] = self._timed(plain, f"handler {name}")
                    self._undo.append(functools.partial(handlers.__setitem__, number, plain))

    def _wrap_view(self) -> None:
        """Takes hold when the overlay is shown next: Blender has the function, not its name."""
        overlay = importlib.import_module(f"{self._addon}.ui.overlay")
        self._set(overlay, "_draw", self._timed(overlay._draw, "overlay"))

    def _wrap_classes(self) -> None:
        for owner in self._classes():
            for name in CALLED:
                plain = vars(owner).get(name)
                label = f"{owner.__name__}.{name}"
                if isinstance(plain, (classmethod, MethodType)):  # its own, or taken from another operator
                    self._set(owner, name, classmethod(_alike(self._timed(plain.__func__, label), plain.__func__)))
                elif plain is not None:
                    self._set(owner, name, _alike(self._timed(plain, label), plain))

    def _set(self, owner: object, name: str, value: object) -> None:
        self._undo.append(functools.partial(setattr, owner, name, vars(owner)[name]))
        setattr(owner, name, value)

    def _classes(self) -> Iterator[type]:
        """The add-on's, with the mixins that they inherit from."""
        for name, module in list(sys.modules.items()):
            if name.startswith(f"{self._addon}.ui"):
                yield from (
                    each for each in vars(module).values() if isinstance(each, type) and each.__module__ == name
                )

    # figures

    def longest(self, measure: str) -> float:
        """The add-on's largest share of a turn, in milliseconds. measure: wall, held or processor."""
        return max((getattr(turn.ours, measure) for turn in self.turns), default=0.0)

    def save(self, path: Path, longest: int = 12) -> None:
        phases = dict.fromkeys(turn.phase for turn in self.turns)
        machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.machine()}"
        summary = {
            "blender": bpy.app.version_string,
            "machine": machine,
            "phases": {phase: _summary([turn for turn in self.turns if turn.phase == phase]) for phase in phases},
            "longest of ours": [
                asdict(turn) for turn in sorted(self.turns, key=lambda turn: -turn.ours.wall)[:longest] if turn.calls
            ],
        }
        path.write_text(json.dumps(summary, indent=1))


def _alike(timed: Callable, plain: Callable) -> Callable:
    """With as many arguments as `plain`: Blender gives a function what its code object counts, or crashes."""
    arguments = ", ".join(f"a{n}" for n in range(plain.__code__.co_argcount))
    return eval(f"lambda {arguments}: timed({arguments})", {"timed": timed})


def _summary(turns: list[Turn]) -> dict[str, object]:
    ours = [turn.ours for turn in turns if turn.calls]
    return {
        "seconds": round(turns[-1].at - turns[0].at, 1),
        "turns": len(turns),
        "turn, ms": {measure: _spread([getattr(turn.whole, measure) for turn in turns]) for measure in Times._fields},
        "turns with ours": len(ours),
        "ours, ms": {measure: _spread([getattr(share, measure) for share in ours]) for measure in Times._fields},
    }


def _spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values) or [0.0]
    return {
        "p50": round(ordered[len(ordered) // 2], 1),
        "p95": round(ordered[len(ordered) * 95 // 100], 1),
        "max": round(ordered[-1], 1),
    }
