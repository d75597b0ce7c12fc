"""Fakes for the dependencies that tests inject."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta


class FakeClock:
    """A clock that advances only by `sleep` and `advance`, without waiting. It records every sleep."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
        self._stepped = timedelta(0)
        self.sleeps: list[float] = []

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return (self.time - self._stepped).timestamp()

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += timedelta(seconds=seconds)
        await asyncio.sleep(0)

    def jitter(self) -> float:
        return 1.0

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or back; the monotonic clock does not step."""
        self.time += timedelta(seconds=seconds)
        self._stepped += timedelta(seconds=seconds)
