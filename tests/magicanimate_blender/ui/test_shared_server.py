"""A server that others use too: how long one waits, and which certificate is trusted."""

import json

import bpy

from magicanimate_blender.animation.states import Snapshot, State
from magicanimate_blender.client import Pins
from magicanimate_blender.ui.mends import mend_of
from magicanimate_blender.ui.package import certificates
from magicanimate_blender.ui.panels.animate import progress_text


def test_a_waiting_job_tells_its_place_and_when_it_is_expected_to_start(addon):
    waiting = Snapshot(State.QUEUED, 48, position=3, wait_s=200.0)
    assert progress_text(waiting).endswith(": 3 before it, starts in about 3 min")
    assert progress_text(Snapshot(State.QUEUED, 48, position=3)).endswith(": 3 before it")


def test_a_changed_certificate_is_trusted_by_the_button_of_its_message(addon, preferences, monkeypatch, tmp_path):
    monkeypatch.setattr("magicanimate_blender.ui.operators.server.certificates", lambda: tmp_path / "pins.json")
    pins = Pins(tmp_path / "pins.json")
    pins.check("render.example:8790", b"old")
    pins.check("other.example:443", b"old")
    preferences.server, preferences.url = "REMOTE", "https://render.example:8790"
    assert mend_of("certificate-changed").operator == "magicanimate.trust_certificate"
    bpy.ops.magicanimate.trust_certificate()
    assert list(json.loads((tmp_path / "pins.json").read_text())) == ["other.example:443"]
    pins.check("render.example:8790", b"new")
    assert certificates().name == "certificates.json"
