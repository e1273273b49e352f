"""Frames come out as delivered, or it is told that they don't, with a studio's own OpenColorIO configuration too."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from magicanimate_blender.results import add_plane, colour_note
from magicanimate_blender.results.colours import colorspace_for, match_view
from magicanimate_blender.results.ocio import Config, parse, read_config

ROOT = Path(__file__).resolve().parents[3]
CHART = [[200, 160, 140], [20, 90, 160], [128, 128, 128], [90, 160, 60]]
LINEAR = """
  - !<ColorSpace>
    name: lin_rec709
    isdata: false

  - !<ColorSpace>
    name: Utility - Raw
    isdata: true
"""
ENCODED = """
  - !<ColorSpace>
    name: {name}
    {aliases}
    isdata: false
    to_scene_reference: !<ExponentWithLinearTransform> {{gamma: 2.4, offset: 0.055}}
"""
GRADED = """
  - !<ColorSpace>
    name: Output - sRGB
    isdata: false
    from_scene_reference: !<GroupTransform>
      children:
        - !<CDLTransform> {slope: [0.5, 0.5, 0.5]}
        - !<ExponentWithLinearTransform> {gamma: 2.4, offset: 0.055, direction: inverse}
"""


def config(encoded: str, *, aliases: str = "", view: str = "", extra: str = "", roles: str = "") -> str:
    """A configuration whose sRGB space has the name `encoded`."""
    spaces = LINEAR + ENCODED.format(name=encoded, aliases=f"aliases: [{aliases}]" if aliases else "") + extra
    return f"""ocio_profile_version: 2
roles:
  scene_linear: lin_rec709
  default: lin_rec709
  data: Utility - Raw
  {roles}
displays:
  Studio sRGB:
    - !<View> {{name: Plain, colorspace: {view or encoded}}}
    - !<View> {{name: Graded, colorspace: {"Output - sRGB" if extra else encoded}}}
    - !<View> {{name: Raw, colorspace: Utility - Raw}}
active_displays: [Studio sRGB]
active_views: [Plain, Graded, Raw]
colorspaces:
{spaces}
"""


def delivered(folder: Path, text: str, view: str, kind: str, display: str = "Studio sRGB") -> dict:
    (folder / "config.ocio").write_text(text)
    script = Path(__file__).with_name("deliver_with_ocio.py")
    done = subprocess.run(
        [sys.executable, str(script), str(folder), display, view, kind],
        env={**os.environ, "OCIO": str(folder / "config.ocio"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))


@pytest.mark.parametrize("kind", ["plane", "compositor", "strip"])
def test_a_configuration_that_names_srgb_as_aces_does(tmp_path, kind):
    told = delivered(tmp_path, config("Utility - sRGB - Texture"), "Plain", kind)
    assert (told["space"], told["note"]) == ("Utility - sRGB - Texture", None)
    assert np.abs(np.subtract(told["rendered"], CHART)).max() <= 1


def test_srgb_is_found_by_its_alias(tmp_path):
    told = delivered(tmp_path, config("House Encoding", aliases="house, srgb_tx"), "Plain", "plane")
    assert (told["space"], told["note"]) == ("House Encoding", None)
    assert np.abs(np.subtract(told["rendered"], CHART)).max() <= 1


def test_a_studios_own_view_is_undone_where_the_configuration_says_how(tmp_path):
    told = delivered(tmp_path, config("sRGB - Texture", extra=GRADED), "Graded", "plane")
    assert (told["space"], told["note"]) == ("Output - sRGB", None)
    assert np.abs(np.subtract(told["rendered"], CHART)).max() <= 1


def test_without_any_known_srgb_the_result_arrives_and_it_is_told(tmp_path):
    text = config("House Encoding", roles="matte_paint: House Encoding")
    told = delivered(tmp_path, text.replace("Studio sRGB", "Projector"), "Plain", "plane", "Projector")
    assert told["space"] == "House Encoding"
    assert "no colour space that is known to be sRGB" in told["note"]
    assert np.abs(np.subtract(told["rendered"], CHART)).max() <= 1


def test_with_no_roles_at_all_it_still_arrives(tmp_path):
    told = delivered(
        tmp_path, config("House Encoding").replace("Studio sRGB", "Projector"), "Plain", "plane", "Projector"
    )
    assert "no colour space that is known to be sRGB" in told["note"]


def test_raw_shows_the_files_own_numbers(tmp_path):
    told = delivered(tmp_path, config("Utility - sRGB - Texture"), "Raw", "plane")
    assert told["space"] == "Utility - Raw"
    assert np.abs(np.subtract(told["rendered"], CHART)).max() <= 1


@pytest.mark.parametrize("display", ["Display P3", "Rec.1886", "Rec.2020"])
def test_another_display_shows_the_same_colours(scene, make_clip, render, display):
    """AgX gives what Standard gives on that display: sRGB's colours, encoded for it."""
    add_plane(scene, make_clip(colour=(200, 160, 140)))
    scene.display_settings.display_device = display
    scene.view_settings.view_transform = "Standard"
    match_view(scene)
    plain = render(10)[8, 8].astype(int)
    scene.view_settings.view_transform = "AgX"
    match_view(scene)
    assert np.abs(render(10)[8, 8] - plain).max() <= 1
    assert np.abs(plain[:3] - (200, 160, 140)).max() > 2


def test_the_same_view_of_an_hdr_display_is_undone(scene):
    devices = type(scene.display_settings).bl_rna.properties["display_device"]
    try:
        scene.display_settings.display_device = "Rec.2100-PQ"
    except TypeError:
        pytest.skip(f"this Blender has no HDR display: {devices.name}")
    scene.view_settings.view_transform = "AgX - SDR"
    assert (colorspace_for(scene), colour_note(scene)) == ("AgX Base sRGB", None)
    scene.view_settings.view_transform = "AgX - HDR 1000 nits"
    assert "“AgX - HDR 1000 nits” can't be undone" in colour_note(scene).message


def test_configurations_are_read_in_every_spelling(tmp_path):
    read = parse(
        """ocio_profile_version: 1
roles:
  color_picking: "Output - Rec.709"
displays:
  "ACES":
    - !<View> {name: "sRGB", colorspace: "Output - sRGB", looks: "a, b"}
    - !<View>
      name: Log
      colorspace: ACEScc
colorspaces:
  - !<ColorSpace>
    name: "ACEScc"
    aliases: [acescc_ap1, "Curve, log"]
    family: ACES
    from_reference: !<GroupTransform>
      children:
        - !<FileTransform> {src: a.spi1d, interpolation: linear}
"""
    )
    assert read.roles == {"color_picking": "Output - Rec.709"}
    assert read.views == {"ACES": {"sRGB": "Output - sRGB", "Log": "ACEScc"}}
    assert read.aliases == {"acescc_ap1": "ACEScc", "Curve, log": "ACEScc"}
    assert read_config(tmp_path / "missing.ocio") == Config()
    assert parse("\0 no configuration: [") == Config()
