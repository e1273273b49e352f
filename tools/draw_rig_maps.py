"""Draw the part map of the CC0 body under the weights of each rig family: the pictures of docs/rigs.md.

    python -m tools.draw_rig_maps [--out docs/images]

One picture a rig in the exact colours, front, left side and back, in a T-pose and an A-pose; and one with a legend in
colours that differ, for reading.
"""

from __future__ import annotations

import argparse
import colorsys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from magicanimate_blender.densepose.anchors import find_anchors
from magicanimate_blender.densepose.labels import LABELS
from magicanimate_blender.densepose.mesh import triangle_areas
from magicanimate_blender.densepose.rule import label_faces
from magicanimate_blender.densepose.subdivide import subdivide_borders
from magicanimate_blender.raster.camera import Camera
from magicanimate_blender.raster.png import encode_labels
from magicanimate_blender.raster.zbuffer import rasterise
from tools.cc0_bodies import RIGS, ROOT, Body, load_body, load_rig, pose_arms

HEIGHT = 512
TALL = 1.95  # metres that the height of a picture shows


def view(body: Body, degrees: float, wide: float) -> tuple[Camera, int]:
    """Camera on the body's middle from so many degrees to its left, and the width in pixels of `wide` metres."""
    width = round(HEIGHT * wide / TALL)
    angle = np.radians(degrees)
    matrix = np.eye(4)
    matrix[:3, 0] = np.cos(angle), 0, -np.sin(angle)
    matrix[:3, 2] = np.sin(angle), 0, np.cos(angle)
    low, high = body.vertices[:, 1].min(), body.vertices[:, 1].max()
    matrix[:3, 3] = 5 * matrix[:3, 2] + [0, (low + high) / 2, 0]
    scale = TALL * max(width / HEIGHT, 1)
    return Camera.from_blender(matrix, width=width, height=HEIGHT, type="ORTHO", ortho_scale=scale), width


def maps(body: Body, rig: str, wide: float) -> np.ndarray:
    """Front, left side and back beside each other: uint8 (HEIGHT, W) labels, borders cut twice."""
    weights = load_rig(rig).segment_weights()
    anchors = find_anchors(body.vertices, body.triangles, weights)
    cut = subdivide_borders(body.vertices, body.triangles, weights, anchors, levels=2)
    positions = cut.positions(body.vertices)
    views = []
    for degrees, width_in_metres in ((0, wide), (90, 0.8), (180, wide)):
        camera, width = view(body, degrees, width_in_metres)
        views.append(rasterise(positions, cut.triangles, cut.labels, camera, width, HEIGHT))
    return np.concatenate(views, axis=1)


def legend(labels: np.ndarray) -> Image.Image:
    """The map in colours that differ, with the names of the parts."""
    tones = [colorsys.hsv_to_rgb((7 * i % 24) / 24, 0.45 + 0.5 * (i % 2), 0.95 - 0.3 * (i % 3 == 0)) for i in range(24)]
    colours = (np.array([(0.13, 0.13, 0.13), *tones]) * 255).astype(np.uint8)
    picture = Image.new("RGB", (labels.shape[1] + 220, HEIGHT), tuple(colours[0]))
    picture.paste(Image.fromarray(colours[labels]))
    draw = ImageDraw.Draw(picture)
    for row in LABELS[1:]:
        top = 4 + 21 * (row.label - 1)
        draw.rectangle((labels.shape[1] + 8, top, labels.shape[1] + 24, top + 16), fill=tuple(colours[row.label]))
        draw.text((labels.shape[1] + 32, top + 2), f"{row.label} {row.name.replace('_', ' ')}", fill="white")
    return picture


def agreements() -> None:
    """Print how far the rigs' labels agree with SMPL-X's, in per cent of the area, as docs/rigs.md reports."""
    for kind in ("female", "male"):
        body = load_body(kind)
        area = triangle_areas(body.vertices, body.triangles)
        labels = {rig: label_faces(body.vertices, body.triangles, load_rig(rig).segment_weights()) for rig in RIGS}
        for rig in RIGS:
            share = area[labels[rig] == labels["SMPL-X"]].sum() / area.sum()
            print(f"{kind} {rig}: {100 * share:.1f}")
        weights = load_rig("SMPL-X").segment_weights()
        posed = {down: pose_arms(body, down) for down in (0, 30, 45, 60)}
        area = triangle_areas(posed[0].vertices, posed[0].triangles)
        truth = label_faces(posed[0].vertices, posed[0].triangles, weights)
        for down, arms in posed.items():
            share = area[label_faces(arms.vertices, arms.triangles, weights) == truth].sum() / area.sum()
            print(f"{kind} arms {down} degrees down: {100 * share:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    t_pose, modelled = pose_arms(load_body("male"), 0), load_body("female")
    for rig in RIGS:
        labels = np.concatenate([maps(t_pose, rig, 1.9), maps(modelled, rig, 1.1)], axis=1)
        (out / f"rigs-{rig.lower()}.png").write_bytes(encode_labels(labels))
        if rig == "SMPL-X":
            legend(labels).save(out / "rigs-legend.png", optimize=True)
    agreements()


if __name__ == "__main__":
    main()
