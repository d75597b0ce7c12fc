"""A clock moved by hand: what takes hours at Argil takes one call in a test."""

from __future__ import annotations


class HandClock:
    """Stands still until it is moved. Call it to read it, as one calls `time.monotonic`."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def __call__(self) -> float:
        """Return the seconds this clock was moved by so far."""
        return self._seconds

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._seconds += seconds
