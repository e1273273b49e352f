"""Wall-clock time that does not jump while the server runs."""

import time


class Clock:
    """Seconds since the epoch: the computer's clock at the start, plus what has really passed since.

    Someone setting the clock, daylight saving or a late NTP answer then neither ages results nor reorders them.
    """

    def __init__(self) -> None:
        self._start = time.time() - time.monotonic()

    def now(self) -> float:
        return self._start + time.monotonic()
