"""The pause after 429 that all processes of one API key share through the ledger."""

from __future__ import annotations

import logging

from models.clock import Clock
from models.errors import DatabaseError
from services.run_log import log_to_run
from store.limits import LimitRepository

READ_INTERVAL_SECONDS = 1.0
"""How long a process does not read the ledger again before a request; a pause takes effect so much later."""


class LedgerRequestPause:
    """The pause as the Argil client uses it: a SharedPause.

    It reduces the load on Argil, and no guarantee depends on it, so a failing database is only logged.
    """

    def __init__(self, limits: LimitRepository, api_key_sha256: str, clock: Clock) -> None:
        self._limits = limits
        self._api_key_sha256 = api_key_sha256
        self._clock = clock
        self._read_at: float | None = None
        self._ends_at = 0.0
        """In seconds of the monotonic clock."""

    async def pause(self, seconds: float) -> None:
        """Let all processes wait before each request; a shorter pause does not end a longer one."""
        self._ends_at = max(self._ends_at, self._clock.monotonic() + seconds)
        try:
            await self._limits.pause_requests(self._api_key_sha256, seconds)
        except DatabaseError as error:
            log_to_run("the pause of requests was not stored: %s", error.message, level=logging.WARNING)

    async def remaining_seconds(self) -> float:
        """Return the seconds until requests may be sent again, 0 if they may now."""
        now = self._clock.monotonic()
        if self._read_at is None or now - self._read_at >= READ_INTERVAL_SECONDS:
            self._read_at = now
            try:
                seconds = await self._limits.requests_paused_for(self._api_key_sha256)
            except DatabaseError as error:
                log_to_run("the pause of requests was not read: %s", error.message, level=logging.WARNING)
            else:
                self._ends_at = max(self._ends_at, now + seconds) if seconds else self._ends_at
        return max(self._ends_at - self._clock.monotonic(), 0.0)
