"""Paint a look onto a body, point by point: clothes are functions of where on the body a point lies."""

import numpy as np
from numpy.typing import NDArray

from inference_server.training.bodies import Array
from inference_server.training.looks import Look

TORSO, FEET, LEGS, ARMS, HEAD = (1, 2), (5, 6), range(7, 15), range(15, 23), (23, 24)
AMBIENT, DIFFUSE = 0.6, 0.45


def _shirt(look: Look, points: Array) -> Array:
    x, y, z = points.T
    hoops = (y / look.pattern_period) % 1 < 0.5
    stripes = (x / look.pattern_period + 0.25) % 1 < 0.5
    accent = {
        "plain": np.zeros(len(points), bool),
        "hoops": hoops,
        "stripes": stripes,
        "halves": x > 0,
        "check": hoops ^ stripes,
        "disc": (z > 0) & (np.hypot(x, y - 0.34) < 0.085),
        "square": (z > 0) & (np.maximum(np.abs(x), np.abs(y - 0.33)) < 0.08),
    }[look.shirt_pattern]
    return np.where(accent[:, None], look.shirt_accent, look.shirt)


def _trousers(look: Look, points: Array) -> Array:
    x = points[:, 0]
    accent = {"plain": np.zeros(len(x), bool), "side": np.abs(x) > 0.19, "halves": x > 0}[look.trouser_pattern]
    return np.where(accent[:, None], look.trousers_accent, look.trousers)


def paint(look: Look, points: Array, parts: NDArray[np.uint8]) -> Array:
    """Colours (N, 3) of surface points.

    `points`: (N, 3) places on the average body (`BodyModel.canonical`); `parts`: (N,) their DensePose labels.
    """
    x, y, z = points.T
    side = np.abs(x)
    torso, arms, legs = np.isin(parts, TORSO), np.isin(parts, list(ARMS)), np.isin(parts, list(LEGS))
    feet, head = np.isin(parts, FEET), np.isin(parts, HEAD)
    colours = np.broadcast_to(look.skin, points.shape).copy()
    shirt = _shirt(look, points)
    trousers = shirt if look.dress else _trousers(look, points)

    above_waist = torso & (y >= look.waist)
    throat = above_waist & (y > 0.53) & (side < look.neckline) & (z > -0.02)
    sleeves = arms & (side < look.sleeve)
    for where, cloth in (
        ((above_waist & ~throat) | sleeves, shirt),
        ((torso & ~above_waist) | (legs & (y > look.hem)), trousers),
    ):
        colours[where] = cloth[where]
    colours[feet | (legs & (y < look.shoe_top))] = look.shoes
    if not look.bald:
        crown = head & ((y > 0.74) | ((z < 0.06) & (y > look.hairline)))
        long_hair = head & (z < 0.02) & (look.hairline < 0.65)
        colours[crown | long_hair] = look.hair
    colours[head & (z > 0.1) & (np.abs(y - 0.683) < 0.008) & (np.abs(side - 0.031) < 0.012)] = (0.08, 0.08, 0.1)
    colours[head & (z > 0.1) & (np.abs(y - 0.614) < 0.007) & (side < 0.024)] = (0.6, 0.2, 0.2)
    return colours


def shade(colours: Array, normals: Array, look: Look) -> Array:
    """Lambert's law with an ambient part; colours and unit normals (N, 3)."""
    return np.clip(colours * (AMBIENT + DIFFUSE * np.clip(normals @ look.light, 0, 1))[:, None], 0, 1)
