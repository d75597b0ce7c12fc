"""Lets the rows of a batch wait while Argil or the network fails, within the patience of the batch."""

from __future__ import annotations

import asyncio

from clients.interruptible_sleep import InterruptibleSleep
from models.clock import Clock
from models.errors import OperationalError
from services.account.outage_log import OutageLog

PATIENCE_SECONDS = 900.0
"""How long a batch waits for Argil in one outage."""
MIN_RETRY_SECONDS = 5.0
"""Before the second attempt; the wait doubles with each failed one. A longer Retry-After counts."""
MAX_RETRY_SECONDS = 60.0


class OutageWait:
    """The outage that all rows of a batch share: one row at a time tries again, after growing waits."""

    def __init__(self, clock: Clock, log: OutageLog, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._clock = clock
        self._log = log
        self._patience_seconds = patience_seconds
        self._since: float | None = None
        """Monotonic time of the first failure; None while Argil answers."""
        self._failures = 0
        self._sleep = InterruptibleSleep()
        self._attempt = asyncio.Lock()
        """Held by the row that waits before it tries Argil."""

    async def wait(self, error: OperationalError, retry_after_seconds: float | None = None) -> None:
        """Return when the caller may try again.

        Raises:
            OperationalError: `error`, if the next attempt would be after the patience of the batch.
        """
        now = self._clock.monotonic()
        allowed_at = now + (retry_after_seconds or 0.0)
        if self._since is None:
            self._since, self._failures = now, 0
            self._log.begin(error.message)
        async with self._attempt:
            if self._since is None:
                return  # over, while this row waited for another one
            now = self._clock.monotonic()  # other rows waited first, perhaps until Retry-After has passed
            seconds = max(self._next_wait(), allowed_at - now)
            if now + seconds > self._since + self._patience_seconds:
                raise error
            self._failures += 1
            await self._sleep.sleep(self._clock, seconds)

    def abandon(self) -> None:
        """Let every row continue at once, although Argil may still fail: nothing more is sent to it."""
        self._since = None
        self._sleep.interrupt()

    def end(self) -> None:
        """Let every row continue: Argil has answered. Without an outage, do nothing."""
        if self._since is not None:
            self._since = None
            self._log.end()

    def _next_wait(self) -> float:
        return min(MIN_RETRY_SECONDS * 2.0 ** min(self._failures, 30), MAX_RETRY_SECONDS)
