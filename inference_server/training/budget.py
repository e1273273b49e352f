"""How long a stage runs, and its learning rate on the way."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """A stage ends after `steps` steps or `seconds` of training, whichever comes first."""

    steps: int
    seconds: float = math.inf

    def progress(self, step: int, seconds: float) -> float:
        """0 at the start, 1 when the budget is spent."""
        return min(1.0, max(step / self.steps, seconds / self.seconds))


def cosine_after(hold: float, progress: float, step: int, *, warm_up: int) -> float:
    """Share of the full learning rate: a linear warm-up, constant until `hold`, then a cosine down to 2 %."""
    warm = min(1.0, (step + 1) / warm_up)
    falling = max(0.0, progress - hold) / (1 - hold)
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * falling)))
