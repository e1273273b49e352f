"""Wrong tokens are answered slowly: guessing one takes longer than anybody lives, and locks nobody out."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass

FREE = 10
"""Wrong tokens in PERIOD that are answered at once: somebody types."""
PERIOD = 60.0
DELAY = 1.0
HELD = 32
"""Answers to one address that are held back at a time; what comes beyond them is not looked at."""
ADDRESSES = 4096


@dataclass
class _Address:
    begin: float
    wrong: int = 0
    held: int = 0


class Throttle:
    """By address of the client. Guesses from one address are at most HELD / DELAY a second, however many connections
    it uses; a right token is answered as always unless more than HELD wrong ones of its address wait."""

    def __init__(self) -> None:
        self._addresses: OrderedDict[str, _Address] = OrderedDict()

    def is_full(self, address: str) -> bool:
        known = self._addresses.get(address)
        return known is not None and known.held >= HELD

    async def wrong_token(self, address: str) -> None:
        """Count it, and return when it may be answered."""
        now = time.monotonic()
        known = self._addresses.get(address)
        if known is None or (now - known.begin > PERIOD and not known.held):
            known = self._addresses[address] = _Address(now)
        self._addresses.move_to_end(address)
        while len(self._addresses) > ADDRESSES:
            self._addresses.popitem(last=False)
        known.wrong += 1
        if known.wrong > FREE:
            known.held += 1
            try:
                await asyncio.sleep(DELAY)
            finally:
                known.held -= 1
