"""Run in a Blender of its own, as a configuration is read once: deliver a chart in a view, tell what comes of it.

deliver_with_ocio.py FOLDER DISPLAY VIEW KIND -> one line of JSON
"""

import json
import sys
from pathlib import Path

import numpy as np

from magicanimate_blender.results import Clip, add_plane, add_strip, add_to_compositor, colour_note
from magicanimate_blender.results.colours import colorspace_for
from tests.magicanimate_blender.results.conftest import SIZE, exact_scene, read_png, write_png

CHART = ((200, 160, 140), (20, 90, 160), (128, 128, 128), (90, 160, 60))


def main(folder: Path, display: str, view: str, kind: str) -> None:
    import bpy

    scene = exact_scene()
    scene.display_settings.display_device = display
    scene.view_settings.view_transform = view
    (folder / "frames").mkdir()
    write_png(folder / "frames" / "000001.png", np.repeat(np.repeat([CHART], 4, 1), SIZE, 0).astype(np.uint8))
    clip = Clip("one", "One", folder / "frames", 1, (SIZE, SIZE), 24.0)
    {"plane": add_plane, "compositor": add_to_compositor, "strip": add_strip}[kind](scene, clip)
    scene.render.use_sequencer = kind == "strip"  # delivering one leaves the 3D scene to be rendered
    scene.render.filepath = str(folder / "render.png")
    bpy.ops.render.render(write_still=True)
    note = colour_note(scene)
    rendered = read_png(folder / "render.png")[8, 2::4, :3].tolist()
    print(json.dumps({"space": colorspace_for(scene), "rendered": rendered, "note": note and note.message}))


main(Path(sys.argv[1]), *sys.argv[2:])
