"""Whether the computer's clock can be believed when results are to be deleted because they are old.

A clock that is wrong (a dead battery, a wrong date set by hand) makes every result look old at once. So nothing is
deleted by age at the first clean-up of a run, nor for `GRACE` seconds of running after the clock went forward by more
than `JUMP` while the server was off, which a holiday does too. While the server runs it has a clock of its own.
"""

import time
from dataclasses import dataclass

from inference_server.jobs.clock import Clock
from inference_server.jobs.store import Store

DAY = 86400.0
JUMP = 7 * DAY
"""Seconds between two runs beyond which the clock, or a long time off, is not believed at once."""
GRACE = 7 * DAY
"""Seconds of running until it is believed after all."""
SEEN, HOLD = "clock-seen", "clock-hold"


@dataclass(frozen=True)
class Doubt:
    """jumped: seconds that the clock went forward while the server was off. left: seconds of running until the end."""

    jumped: float
    left: float


class ClockTrust:
    """Asked at each clean-up. What it knows is kept in the store's settings."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._asked: float | None = None

    def ask(self) -> tuple[bool, Doubt | None]:
        """Whether age may be judged now, and the doubt about the clock while one lasts."""
        now, monotonic = self._clock.now(), time.monotonic()
        first = self._asked is None
        hold = self._store.setting(HOLD, None)
        if first:
            seen = self._store.setting(SEEN, None)
            if seen is not None and now - seen > JUMP:
                hold = {"jumped": now - seen, "left": GRACE}
            elif seen is not None and hold and seen - now > hold["jumped"] / 2:
                hold = None  # the clock was put right again
        elif hold and self._asked is not None:
            left = hold["left"] - (monotonic - self._asked)
            hold = {**hold, "left": left} if left > 0 else None
        self._asked = monotonic
        self._store.set_setting(SEEN, now)
        self._store.set_setting(HOLD, hold)
        return not first and hold is None, Doubt(**hold) if hold else None
