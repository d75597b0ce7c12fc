"""Spaces requests: a process sends no more than its rate, and nothing while Argil wishes to be left alone."""

from __future__ import annotations

import asyncio
from typing import Protocol

from models.clock import Clock


class Budget(Protocol):
    """A rate that several processes share."""

    async def take(self, requests: int) -> None:
        """Wait until so many more requests may be sent."""


class Throttle:
    """Hands out one turn every `1 / per_second` seconds, in the order of asking."""

    def __init__(self, per_second: float, clock: Clock, *, budget: Budget | None = None) -> None:
        """Of a shared budget a block is taken at a time: as many requests as this process may send in a second."""
        self._interval = 1.0 / per_second
        self._clock = clock
        self._next = clock.monotonic()
        self._budget = budget
        self._block = max(int(per_second), 1)
        self._left = 0
        self._taking = asyncio.Lock()

    async def turn(self) -> None:
        """Wait for the next free turn."""
        if self._budget is not None:
            async with self._taking:
                if self._left == 0:
                    await self._budget.take(self._block)
                    self._left = self._block
                self._left -= 1
        now = self._clock.monotonic()
        mine = max(self._next, now)
        self._next = mine + self._interval
        if mine > now:
            await self._clock.sleep(mine - now)

    def hold(self, seconds: float) -> None:
        """Give no further turn for so long."""
        self._next = max(self._next, self._clock.monotonic() + seconds)
