"""Bake the sample character that the add-on ships.

    python tools/bake_sample_character.py BODIES [--out magicanimate_blender/assets]

BODIES holds `cc0_male.npz` and `cc0_female.npz`: the MakeHuman / MPFB2 base mesh (CC0), male and female, skinned to the
55 SMPL-X joints. Arrays: v (V, 3) metres, Y up, facing +Z; f (2Q, 3) triangles, two for each quad; wi, w (V, 4) joints
and weights in 1/255; names (55,), joints (55, 3). Both bodies share topology and weights, so one file holds both.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from magicanimate_blender.scene.skeleton import SMPLX_JOINTS

STEPS_PER_METRE = 16_000  # int16 reaches 2 m from the ground in steps of 0.06 mm
KINDS = ("male", "female")


def z_up(points: np.ndarray) -> np.ndarray:
    """(N, 3) Y up, facing +Z -> Z up, facing -Y, as Blender characters stand."""
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], 1)


def quads(triangles: np.ndarray) -> np.ndarray:
    """(2Q, 3) pairs (a, b, c), (a, c, d) -> (Q, 4)."""
    first, second = triangles[0::2], triangles[1::2]
    if not (np.array_equal(first[:, 0], second[:, 0]) and np.array_equal(first[:, 2], second[:, 1])):
        raise SystemExit("The triangles are not pairs cut from quads.")
    return np.concatenate([first, second[:, 2:]], 1)


def bake(bodies: Path) -> dict[str, np.ndarray]:
    sources = {kind: np.load(bodies / f"cc0_{kind}.npz") for kind in KINDS}
    male = sources["male"]
    if any(not np.array_equal(male[key], sources["female"][key]) for key in ("f", "wi", "w", "names")):
        raise SystemExit("The two bodies differ in topology or weights.")
    names = [str(name) for name in male["names"]]
    order = [names.index(name) for name in SMPLX_JOINTS]
    baked: dict[str, np.ndarray] = {
        "quads": quads(male["f"]).astype(np.uint16),
        "weight_joints": np.argsort(order)[male["wi"]].astype(np.uint8),
        "weights": male["w"],
        "steps_per_metre": np.array(STEPS_PER_METRE),
    }
    for kind, source in sources.items():
        vertices, joints = z_up(source["v"]), z_up(source["joints"])[order]
        # The source puts the root bone behind the spine; a pelvis turns about the middle of the hips.
        joints[0] = (joints[1] + joints[2]) / 2
        origin = np.array([0.0, joints[0, 1], vertices[:, 2].min()])  # soles on the ground, hips above the origin
        baked[f"vertices_{kind}"] = np.round((vertices - origin) * STEPS_PER_METRE).astype(np.int16)
        baked[f"joints_{kind}"] = (joints - origin).astype(np.float32)
    return baked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bodies", type=Path, help="folder with cc0_male.npz and cc0_female.npz")
    parser.add_argument("--out", type=Path, default=Path("magicanimate_blender/assets"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    target = arguments.out / "sample_body.npz"
    np.savez_compressed(target, **bake(arguments.bodies))
    print(f"{target}: {target.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
