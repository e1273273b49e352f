"""What the server has to say about itself is read in the Server panel."""

from magicanimate_blender.client.model import ServerInfo, parse
from magicanimate_blender.ui.panels.server import draw_info
from tests.magicanimate_blender.ui.panel_reader import Layout, Shown

INFO = {
    "name": "MagicAnimate", "version": "0.1.0", "api": 1, "pid": 1, "uptime_s": 1.0, "device": None,
    "worker": {"state": "idle", "pid": 2}, "queue": {"paused": False, "queued": 0, "running": 0},
    "limits": {"upload_bytes": 1, "pixels": 1, "frames": 1},
}  # fmt: skip


def shown(**changes: object) -> str:
    found = Shown()
    draw_info(Layout(found), parse(ServerInfo, {**INFO, **changes}))
    return " ".join(found.text.split())


def test_a_notice_is_shown_with_its_way_out(addon):
    notice = {"code": "clock-jumped", "detail": "The clock went 31 days forward", "fix": "Correct the date."}
    text = shown(notices=[notice])
    assert "The clock went 31 days forward." in text
    assert "Correct the date." in text


def test_a_server_without_notices_shows_none(addon):
    assert shown() == "Running: version 0.1.0, ready, weights loaded"
