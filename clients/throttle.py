"""Spaces requests so that a process never sends more than its rate."""

from __future__ import annotations

from models.clock import Clock


class Throttle:
    """Hands out one turn every `1 / per_second` seconds, in the order of asking."""

    def __init__(self, per_second: float, clock: Clock) -> None:
        self._interval = 1.0 / per_second
        self._clock = clock
        self._next = clock.monotonic()

    async def turn(self) -> None:
        """Wait for the next free turn."""
        now = self._clock.monotonic()
        mine = max(self._next, now)
        self._next = mine + self._interval
        if mine > now:
            await self._clock.sleep(mine - now)
