"""How a random person looks: skin, hair, clothes, shoes, light and the wall behind. All colours are RGB in 0..1."""

import colorsys
from dataclasses import dataclass

import numpy as np

from inference_server.training.bodies import Array

SKIN_TONES = np.array([(0.96, 0.82, 0.72), (0.88, 0.68, 0.54), (0.72, 0.5, 0.36), (0.5, 0.33, 0.22), (0.33, 0.2, 0.14)])
HAIR_COLOURS = np.array(
    [(0.08, 0.06, 0.05), (0.3, 0.18, 0.1), (0.55, 0.38, 0.18), (0.85, 0.7, 0.4), (0.6, 0.25, 0.1), (0.6, 0.6, 0.6)]
)
SHIRT_PATTERNS = ("plain", "hoops", "stripes", "halves", "check", "disc", "square")
TROUSER_PATTERNS = ("plain", "side", "halves")


@dataclass(frozen=True)
class Look:
    """Everything that painting needs. Lengths are metres on the average body, heights above its pelvis."""

    skin: Array
    hair: Array
    hairline: float
    bald: bool
    shirt: Array
    shirt_accent: Array
    shirt_pattern: str
    pattern_period: float
    sleeve: float  # distance from the mid-plane where the sleeve ends
    neckline: float
    waist: float
    trousers: Array
    trousers_accent: Array
    trouser_pattern: str
    hem: float
    dress: bool
    shoes: Array
    shoe_top: float
    wall_top: Array
    wall_bottom: Array
    light: Array  # unit vector towards the light


def _cloth(rng: np.random.Generator) -> Array:
    if rng.uniform() < 0.15:
        return np.full(3, rng.uniform(0.05, 1))
    return np.array(colorsys.hsv_to_rgb(rng.uniform(), rng.uniform(0.15, 1), rng.uniform(0.2, 1)))


def random_look(rng: np.random.Generator) -> Look:
    tone, mix = rng.integers(len(SKIN_TONES) - 1), rng.uniform()
    wall = _cloth(rng) * 0.7 + 0.2 if rng.uniform() < 0.6 else np.full(3, rng.uniform(0.1, 1))
    shaded_wall = np.clip(wall * rng.uniform(0.5, 1.4) + rng.uniform(-0.1, 0.1, 3), 0, 1)
    light = np.array([rng.uniform(-0.6, 0.6), rng.uniform(0.3, 0.9), 1.0])
    return Look(
        skin=SKIN_TONES[tone] * (1 - mix) + SKIN_TONES[tone + 1] * mix,
        hair=rng.choice(HAIR_COLOURS) * rng.uniform(0.8, 1.2),
        hairline=rng.choice([0.71, 0.67, 0.62]),
        bald=rng.uniform() < 0.06,
        shirt=_cloth(rng),
        shirt_accent=_cloth(rng),
        shirt_pattern=str(rng.choice(SHIRT_PATTERNS, p=[0.52, *[0.08] * 6])),
        pattern_period=rng.uniform(0.1, 0.18),
        sleeve=rng.choice([0.17, 0.25, 0.30, 0.45]),
        neckline=rng.uniform(0.05, 0.10),
        waist=rng.uniform(0.03, 0.17),
        trousers=_cloth(rng),
        trousers_accent=_cloth(rng),
        trouser_pattern=str(rng.choice(TROUSER_PATTERNS, p=[0.76, 0.12, 0.12])),
        hem=rng.choice([-0.15, -0.33, -0.55, -0.74, -0.74]),
        dress=rng.uniform() < 0.12,
        shoes=_cloth(rng),
        shoe_top=rng.uniform(-0.76, -0.6),
        wall_top=wall,
        wall_bottom=wall if rng.uniform() < 0.5 else shaded_wall,
        light=light / np.linalg.norm(light),
    )
