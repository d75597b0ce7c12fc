"""Time as a dependency: components receive a Clock, so that tests do not wait."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall-clock time for the ledger, monotonic time for budgets, sleep, and random jitter."""

    def now(self) -> datetime:
        """Return the current time, timezone-aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; they never go backwards."""

    async def sleep(self, seconds: float) -> None:
        """Sleep for the given number of seconds."""

    def jitter(self) -> float:
        """Return a random factor from 0.8 to 1.0 for an interval.

        It spreads the polls of many processes, so that they do not arrive together. An interval is only ever
        shortened: a deadline or a documented maximum interval stays valid.
        """


class SystemClock:
    """The system clock."""

    def now(self) -> datetime:
        """Return the current time, timezone-aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(seconds)

    def jitter(self) -> float:
        """Return a uniformly distributed factor from 0.8 to 1.0: an interval is shortened, never extended."""
        return random.uniform(0.8, 1.0)  # noqa: S311  # spreads polls; not a security use
