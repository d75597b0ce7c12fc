"""Time as an input: what needs it takes a Clock, so that no test waits."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time for the ledger, monotonic time for budgets, waiting, and chance."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that never jump, from an arbitrary start."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""

    def jitter(self) -> float:
        """Return a random factor of at most 1, for intervals that must not march in step."""


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(seconds)

    def jitter(self) -> float:
        """Return a factor between 0.8 and 1.0: an interval is shortened, never stretched."""
        return random.uniform(0.8, 1.0)  # noqa: S311  # spreads polls, guards nothing
