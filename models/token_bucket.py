"""A token bucket: permits a burst, and then an average rate. Unlike clients/rate_limiter.py, it never waits."""

from __future__ import annotations

from models.clock import Clock


class TokenBucket:
    """Contains at most `burst` permits and gains `per_second` of them each second."""

    def __init__(self, per_second: float, burst: int, clock: Clock) -> None:
        """Start with a full bucket."""
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._permits = float(burst)
        self._updated_at = clock.monotonic()

    def take(self) -> float:
        """Take a permit and return 0, or return the seconds until there will be one."""
        now = self._clock.monotonic()
        self._permits = min(self._permits + (now - self._updated_at) * self._per_second, self._burst)
        self._updated_at = now
        if self._permits < 1:
            return (1 - self._permits) / self._per_second
        self._permits -= 1
        return 0.0
