"""What stands where in the panel: buttons before text, text in a place kept free, lines that fit a narrow sidebar."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import blf
import bpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicanimate_blender.animation import State
from magicanimate_blender.ui import panels, scene_facts
from magicanimate_blender.ui.messages import Message
from magicanimate_blender.ui.panels import common, status_bar
from magicanimate_blender.ui.panels.animate import (
    LINES,
    MAGICANIMATE_PT_animate,
    MAGICANIMATE_PT_preview,
    progress_text,
    said_of,
    share_text,
)
from magicanimate_blender.ui.panels.character import MAGICANIMATE_PT_character
from tests.magicanimate_blender.ui.panel_reader import Layout, Shown, operator_of


@dataclass
class Drawn:
    """Rows from the top, each with the labels of what stands in it. Columns and boxes are not rows."""

    rows: list[list[str]] = field(default_factory=list)


class Rows(Layout):
    """A layout that keeps what stands beside what."""

    def __init__(self, drawn: Drawn, row: list[str] | None = None) -> None:
        super().__init__(Shown())
        self._drawn, self._row = drawn, row

    def _put(self, what: str) -> None:
        if self._row is None:
            self._drawn.rows.append([what])
        else:
            self._row.append(what)

    def row(self, **_: Any) -> "Rows":
        row: list[str] = []
        self._drawn.rows.append(row)
        return Rows(self._drawn, row)

    def column(self, **_: Any) -> "Rows":
        return Rows(self._drawn, self._row)

    box = column

    def split(self, **_: Any) -> "Rows":
        return Rows(self._drawn, self._row)

    def label(self, text: str = "", **_: Any) -> None:
        self._put(text)

    def progress(self, factor: float, text: str = "") -> None:
        self._put(f"[{text}]")

    def prop(self, _: Any, name: str, **__: Any) -> None:
        self._put(name)

    def popover(self, panel: str, **_: Any) -> None:
        self._put(panel)

    def operator(self, name: str, text: str | None = None, **_: Any) -> SimpleNamespace:
        self._put(operator_of(name).get_rna_type().name if text is None else text)
        return SimpleNamespace()

    def template_icon(self, icon: int, scale: float) -> None:
        self._put(f"picture {scale}")


def rows_of(panel):
    drawn = Drawn()
    panel.draw(SimpleNamespace(layout=Rows(drawn)), bpy.context)
    return drawn.rows


@pytest.fixture
def running(stage, server, current, until):
    server.gate.clear()
    bpy.ops.magicanimate.animate()
    animation = current.animations.poll()[-1][0]
    until(lambda: animation.poll().state is State.RUNNING)
    yield animation
    server.gate.set()


def test_animate_is_the_first_panel_of_work():
    tab = [each.__name__ for each in panels.CLASSES if getattr(each, "bl_category", "") == "MagicAnimate"]
    assert tab[:3] == ["MAGICANIMATE_PT_welcome", "MAGICANIMATE_PT_animate", "MAGICANIMATE_PT_preview"]


def test_a_job_moves_no_button_of_its_panel(stage, current, running):
    """Before, during and after: the same rows, and as many; progress and Cancel stand in the second."""
    during = rows_of(MAGICANIMATE_PT_animate)
    assert during[1] == [f"[{share_text(running.poll())}]", "Cancel"]
    current.animations.forget(running.id)
    before = rows_of(MAGICANIMATE_PT_animate)
    assert before[0] == during[0] == ["Animate"]
    assert before[1] == ["Ready"]
    assert before[2:4] == during[2:4] == [["Preview Frame", "live_preview"], ["Variations", "variations"]]
    assert len(before) == len(during) == 4 + LINES
    assert progress_text(running.poll()) in " ".join(during[4])


def test_the_preview_has_its_place_before_there_is_a_picture(stage, running):
    running._work.status.show(preview=None)  # one may have come already
    assert MAGICANIMATE_PT_preview.poll(bpy.context)
    assert rows_of(MAGICANIMATE_PT_preview) == [["picture 8.0"]]


def test_a_warning_while_posing_moves_nothing(stage, current, monkeypatch):
    plain = rows_of(MAGICANIMATE_PT_animate), rows_of(MAGICANIMATE_PT_character)
    uid = stage.session_uid
    warned = SimpleNamespace(**{**vars(scene_facts.facts(stage)), "warnings": (Message("Too small.", "Move."),)})
    monkeypatch.setitem(scene_facts._facts, uid, warned)
    rows = rows_of(MAGICANIMATE_PT_animate), rows_of(MAGICANIMATE_PT_character)
    assert [len(each) for each in rows] == [len(each) for each in plain]
    assert [row for each in rows for row in each if "MAGICANIMATE_PT_framing" in row] == [
        ["Ready", "MAGICANIMATE_PT_framing"],
        ["Frame Character", "MAGICANIMATE_PT_framing"],
    ]


def test_the_status_bar_shows_progress_and_cancel_wherever_the_job_is(stage, running, until):
    bpy.context.window.scene = bpy.data.scenes.new("Another")
    drawn = Drawn()
    status_bar.draw(SimpleNamespace(layout=Rows(drawn)), bpy.context)
    (cancel, bar) = (each for row in drawn.rows for each in row)
    assert bar.startswith(f"[{progress_text(running.poll())}")
    assert cancel == ""  # a cross
    assert bpy.ops.magicanimate.cancel.poll()
    bpy.ops.magicanimate.cancel(job=running.id)
    until(lambda: running.poll().state.ended)
    drawn.rows.clear()
    status_bar.draw(SimpleNamespace(layout=Rows(drawn)), bpy.context)
    assert drawn.rows == []


def test_a_failed_job_says_no_more_than_its_box(stage, current, server, finish):
    server.kill()
    bpy.ops.magicanimate.animate()
    animation = current.animations.poll()[-1][0]
    finish(animation)
    assert said_of(animation) == []
    rows = rows_of(MAGICANIMATE_PT_animate)
    assert rows[1] == ["Try Again"]
    assert any("No server is running" in " ".join(row) for row in rows[4:])


@pytest.mark.parametrize("width", [240 - common.MARGIN, 280 - common.MARGIN])
@given(text=st.text(st.sampled_from("abcdefgWM/.- "), max_size=120))
def test_every_line_fits(width, text):
    lines = common.lines_of(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    blf.size(0, 11)
    assert all(blf.dimensions(0, line)[0] <= width for line in lines)
