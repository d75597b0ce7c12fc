"""A manual clock: hours of training at Argil take one call in a test."""

from __future__ import annotations


class ManualClock:
    """A clock that only `advance` moves. Call it to read it, like `time.monotonic`."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def __call__(self) -> float:
        """Return the seconds that this clock has been advanced by so far."""
        return self._seconds

    def advance(self, seconds: float) -> None:
        """Advance the clock by `seconds`."""
        self._seconds += seconds
