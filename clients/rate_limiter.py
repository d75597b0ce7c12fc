"""Rate limiter for requests: spaces them evenly, and pauses them while Argil's Retry-After lasts."""

from __future__ import annotations

import asyncio
from typing import Protocol

from models.clock import Clock


class SharedRateLimit(Protocol):
    """A rate limit that several processes share."""

    async def acquire(self, requests: int) -> None:
        """Wait until `requests` more requests may be sent."""


class SharedPause(Protocol):
    """A pause of all requests that several processes share."""

    async def pause(self, seconds: float) -> None:
        """Let no process send a request for so many seconds; a shorter pause does not end a longer one."""

    async def remaining_seconds(self) -> float:
        """Return the seconds until requests may be sent again, 0 if they may now."""


class RateLimiter:
    """Grants one permit every `1 / per_second` seconds, first come, first served."""

    def __init__(
        self,
        per_second: float,
        clock: Clock,
        *,
        shared_limit: SharedRateLimit | None = None,
        shared_pause: SharedPause | None = None,
    ) -> None:
        """Create a rate limiter.

        Permits of a shared limit are acquired in blocks of one second's requests (at least one), so that most
        requests do not need a round trip.
        """
        self._interval = 1.0 / per_second
        self._clock = clock
        self._next_slot_at = clock.monotonic()
        self._shared_limit = shared_limit
        self._shared_pause = shared_pause
        self._block_size = max(int(per_second), 1)
        self._tokens_left = 0
        self._refill_lock = asyncio.Lock()

    async def acquire(self) -> None:
        """Wait for the next permit."""
        while self._shared_pause is not None and (seconds := await self._shared_pause.remaining_seconds()) > 0:
            await self._clock.sleep(seconds)
        if self._shared_limit is not None:
            async with self._refill_lock:
                if self._tokens_left == 0:
                    await self._shared_limit.acquire(self._block_size)
                    self._tokens_left = self._block_size
                self._tokens_left -= 1
        now = self._clock.monotonic()
        slot_at = max(self._next_slot_at, now)
        self._next_slot_at = slot_at + self._interval
        if slot_at > now:
            await self._clock.sleep(slot_at - now)

    async def pause(self, seconds: float) -> None:
        """Grant no further permit for `seconds`, in any process; a shorter pause does not end a longer one."""
        self._next_slot_at = max(self._next_slot_at, self._clock.monotonic() + seconds)
        if self._shared_pause is not None:
            await self._shared_pause.pause(seconds)
